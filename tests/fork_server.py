"""Python programs that are forked from a process that has imported what they import.

To import the server takes several times as long as all else that it does at its start, and the
tests start hundreds. What is forked has arguments, environment, folder, files and session of its
own, and ends as any program does: from its first line on it is what `python -m MODULE` would be.

As a program it forks for every request that it reads; `ForkServer` starts it and speaks to it.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[1]
FORKED = {"keyturn", "tests.faults.history_bugs", "tests.faults.server_bugs"}
"""Other programs are started as ever."""
IMPORTED = (
    "keyturn.cli.agent",
    "keyturn.cli.developer",
    "keyturn.cli.main",
    "keyturn.cli.serve",
    "keyturn.storage.postgres",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
LONGEST_REQUEST = 1 << 20
NUMBER = struct.Struct("i")


class Forked:
    """What was forked, with what `subprocess.Popen` has for it."""

    def __init__(self, command: Sequence[str], status: int) -> None:
        self.args = command
        self.returncode: int | None = None
        self._status = status
        self.pid = self._read()

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(self._read())
            os.close(self._status)
        return self.returncode

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def _read(self) -> int:
        number: int
        (number,) = NUMBER.unpack(os.read(self._status, NUMBER.size))
        return number


class ForkServer:
    """Has `Popen` and `run` of `subprocess`, as far as `keyturn.testing` uses them."""

    DEVNULL = subprocess.DEVNULL
    STDOUT = subprocess.STDOUT

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env={k: v for k, v in os.environ.items() if not k.startswith("KEYTURN_")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._program.wait()

    def Popen(self, command: Sequence[str], **options: Any) -> Forked | subprocess.Popen[bytes]:  # noqa: N802
        if _is_forked(command):
            options["stderr"] = options["stdout"]
            return self.fork(command, **options)
        return subprocess.Popen(command, **options)

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: float,
        check: bool,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        if not _is_forked(command):
            return subprocess.run(command, env=env, timeout=timeout, check=check, **options)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            process = self.fork(command, env=env, stdout=output, stderr=errors)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                raise
            output.seek(0)
            errors.seek(0)
            done = subprocess.CompletedProcess(command, code, output.read(), errors.read())
        if check:
            done.check_returncode()
        return done

    def fork(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: IO[Any],
        stderr: IO[Any],
        stdin: int = subprocess.DEVNULL,
        start_new_session: bool = False,
    ) -> Forked:
        """Fork `python -m MODULE …`, with nothing to read."""
        assert stdin == subprocess.DEVNULL
        processors = list(os.sched_getaffinity(0))
        request = json.dumps(
            [command[2:], dict(env), str(Path.cwd()), processors, start_new_session]
        )
        reading, writing = os.pipe()
        with open(os.devnull) as nothing:  # noqa: PTH123
            files = [nothing.fileno(), stdout.fileno(), stderr.fileno(), writing]
            socket.send_fds(self._socket, [request.encode()], files)
        os.close(writing)
        return Forked(command, reading)


def _is_forked(command: Sequence[str]) -> bool:
    return list(command[:2]) == [sys.executable, "-m"] and command[2] in FORKED


def main() -> None:
    """Fork for each request; what is forked leaves the loop and runs its module."""
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()
    if wanted := _serve(socket.socket(fileno=int(sys.argv[1]))):
        request, files = wanted
        _become(files, *json.loads(request))


def _serve(requests: socket.socket) -> tuple[bytes, list[int]] | None:
    """Fork for each request, and send the status of what has ended.

    Returns the request in the process that is to do it, and None when there are no more.
    """
    children: dict[int, tuple[int, int]] = {}
    while True:
        ready = select.select([requests.fileno(), *children], [], [])[0]
        for ended in set(ready) & set(children):
            pid, status = children.pop(ended)
            # Whoever started it may be gone.
            with contextlib.suppress(BrokenPipeError):
                os.write(status, NUMBER.pack(os.waitpid(pid, 0)[1]))
            os.close(status)
            os.close(ended)
        if requests.fileno() not in ready:
            continue
        request, files, *_ = socket.recv_fds(requests, LONGEST_REQUEST, 4)
        if not request:
            return None
        pid = os.fork()
        if pid == 0:
            requests.detach()
            return request, files
        *rest, status = files
        children[os.pidfd_open(pid)] = pid, status
        for file in rest:
            os.close(file)


def _become(
    files: list[int],
    command: list[str],
    environment: dict[str, str],
    cwd: str,
    processors: list[int],
    new_session: bool,
) -> None:
    *standard, status = files
    for number, file in enumerate(standard):
        os.dup2(file, number)
    if new_session:
        os.setsid()
    # Only now can its session be sent signals.
    os.write(status, NUMBER.pack(os.getpid()))
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.sched_setaffinity(0, processors)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
