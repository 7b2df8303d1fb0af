"""Trace a running process's system calls, and make the kernel refuse some, with strace."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 20.0
DETACH_PATIENCE = 3.0


class Injection:
    """A fault that is in force; `happened` counts the system calls that it has refused."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @property
    def happened(self) -> int:
        return self._log.read_text().count("(INJECTED)")


@contextlib.contextmanager
def injected(pid: int, calls: str, error: str, file: Path, when: str) -> Iterator[Injection]:
    """Let system calls of the process on `file` fail with `error` until the block ends.

    `when` chooses among the calls of each thread as strace does: `1+` is every one, `3` the third.

    Raises:
        RuntimeError: strace is not installed, or could not attach; the message says which.
    """
    faults = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}"]
    with traced(pid, "-P", str(file.resolve()), *faults) as log:
        yield Injection(log)


@contextlib.contextmanager
def traced(pid: int, *options: str) -> Iterator[Path]:
    """Trace the process until the block ends; its log has no byte of what is read or written.

    Raises:
        RuntimeError: strace is not installed, or could not attach; the message says which.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise RuntimeError("strace is not installed (apt-get install strace): no fault injected.")
    with tempfile.TemporaryDirectory(prefix="keyturn-strace-") as folder:
        log = Path(folder) / "log"
        log.touch()
        tracer = subprocess.Popen(
            [strace, "-f", "-qq", "-s", "0", "-o", log, "-p", str(pid), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _wait_until_attached(tracer, pid)
            yield log
        finally:
            _detach(tracer)


def _detach(tracer: "subprocess.Popen[str]") -> None:
    """End the tracing; the process goes on unharmed, unless it has ended itself."""
    tracer.terminate()
    try:
        tracer.communicate(timeout=DETACH_PATIENCE)
    except subprocess.TimeoutExpired:
        # strace can miss the end of a process that it is just letting go.
        tracer.kill()
        tracer.communicate()


def _wait_until_attached(tracer: "subprocess.Popen[str]", pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if tracer.poll() is not None:
            raise RuntimeError(f"strace could not attach: {tracer.communicate()[1].strip()}")
        if all(_traced(status) for status in Path(f"/proc/{pid}/task").glob("*/status")):
            return
        time.sleep(0.005)
    raise RuntimeError("strace did not attach within 20 seconds.")


def _traced(status: Path) -> bool:
    with contextlib.suppress(OSError):
        return "\nTracerPid:\t0\n" not in status.read_text()
    return True
