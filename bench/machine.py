"""The machine under the measurement: its cores, its file system, what each process used of them."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core for the server and the core for the load.

    Raises:
        SystemExit: this process may use only one core, so nothing could be kept apart.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("The bench needs two cores: one for the server, one for the load.")
    return usable[0], usable[-1]


def cores_for(workers: int) -> set[int]:
    """The cores of a server: one for a single worker, otherwise all but the load's.

    On a machine of two cores several workers share the load's core too; the table says so.
    """
    usable = sorted(os.sched_getaffinity(0))
    if workers == 1:
        return {usable[0]}
    return set(usable[:-1]) if len(usable) > 2 else set(usable)


@contextlib.contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Keep this thread, and every process started meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Processor time used so far by a process and its descendants, but for orphans."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # It has ended, before or as it was read.
        return 0.0
    # The last two are those of children that have ended.
    own = sum(map(int, fields[11:15])) / TICK
    return own + sum(cpu_seconds(int(child)) for child in children)


def filesystem(folder: Path) -> str:
    """The type of the file system that holds a folder (`tmpfs` makes fsync meaningless)."""
    target = folder.resolve()
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        mount, found = line.split()[1:3]
        if target.is_relative_to(mount) and len(Path(mount).parts) >= len(best.parts):
            best, kind = Path(mount), found
    return kind


def describe(folder: Path) -> dict[str, str]:
    """What somebody needs to know to compare these figures with others."""
    names = ("apsw", "uvicorn", "uvloop", "httptools", "fastapi")
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "processor": processor,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "filesystem": filesystem(folder),
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names),
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


@contextlib.contextmanager
def program(
    *command: str, on: set[int], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program on the given cores, ended with the block.

    Raises:
        RuntimeError: the block waited for it in vain; the message has what it printed.
    """
    with tempfile.TemporaryFile() as log:
        with pinned(on):
            child = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield child
        except TimeoutError as error:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace")) from error
        finally:
            child.terminate()
            child.wait(timeout=30)


def process(
    *arguments: str, on: set[int], environment: Mapping[str, str] | None = None
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A Python process on the given cores, as `program`."""
    return program(sys.executable, *arguments, on=on, environment=environment)


def memory(pid: int) -> tuple[int, int]:
    """Bytes that a process holds in memory: its own, and with the files that it has mapped."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kibibytes = {
        line.split()[0]: int(line.split()[1])
        for line in lines
        if line.startswith(("VmRSS:", "RssAnon:"))
    }
    return kibibytes["RssAnon:"] * 1024, kibibytes["VmRSS:"] * 1024
