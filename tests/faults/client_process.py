"""The client library in processes that can be killed: a forked process for each call.

As a program it imports everything once and forks for every line that it reads; `Clients` starts
it and speaks to it.
"""

import contextlib
import json
import logging
import os
import pickle
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from unittest import mock

import httpx

from keyturn.client import Agent, ClientError, KeyturnAuth, Limited, TryAgain, effects, rotation
from keyturn.client.effects import Answer, Lost

from .client_bugs import CLIENT_BUGS
from .disk import Record
from .recorded_os import recorded_os

ROOT = Path(__file__).parents[2]
PATIENCE = 60
TLS = ssl.create_default_context()
"""Nothing here speaks TLS, and to make this takes longer than a rotation."""
DONE, AGAIN, REFUSED, UNAUTHORIZED, DEFECT = 0, 1, 2, 3, 4
"""How a call ended: well; with "try again"; with another error of ours; the program's own request
was refused; with an error that nobody has foreseen."""


def _rotate(path: Path, patience: float) -> None:
    Agent(path, patience=patience).rotate()


def _status(path: Path, patience: float) -> None:
    if problem := Agent(path, patience=patience).status().problem:
        raise problem


def _use(path: Path, _patience: float) -> None:
    url = json.loads(path.read_bytes())["url"]
    with httpx.Client(base_url=url, auth=KeyturnAuth(path), verify=TLS) as http:
        http.get("/v1/agents/self").raise_for_status()


def _rotate_recorded(path: Path, patience: float) -> None:
    record, exchange = Record(path.parent), effects._exchange

    def send(http: httpx.Client, request: httpx.Request) -> Answer | Lost:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        idempotency_key = request.headers.get("Idempotency-Key")
        record.acknowledge((key, idempotency_key and idempotency_key.strip('"')))
        return exchange(http, request)

    with mock.patch.object(effects, "_exchange", send), recorded_os(record):
        _rotate(path, patience)
    record.check()
    recorded = pickle.dumps((record.operations, record.moments))
    path.parent.with_suffix(".record").write_bytes(recorded)


AFTERWARDS: dict[str, Callable[[Path, float], None]] = {
    "rotate": _rotate,
    "status": _status,
    "use": _use,
}
"""What an agent's program may do next; each finishes a rotation that was interrupted."""
CALLS = {**AFTERWARDS, "recorded": _rotate_recorded}


class Clients:
    """Makes calls of the library one after the other; `bug` is one that they all have."""

    def __init__(self, bug: str = "") -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.client_process", bug],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self, call: str, path: Path, *, patience: float = 2.0, hold: bool = False) -> int:
        """Begin a call; the id of its process, which stops at once (SIGSTOP) if it is to hold."""
        print(call, patience, int(hold), path, file=self._program.stdin)
        pid = int(self._read())
        if hold:
            _wait_until_stopped(pid)
        return pid

    def finish(self) -> int:
        """Wait for the call's end: how it ended, or minus the signal that killed it."""
        return os.waitstatus_to_exitcode(int(self._read()))

    def call(self, call: str, path: Path, *, patience: float = 2.0) -> int:
        """Make a call: how it ended."""
        self.start(call, path, patience=patience)
        return self.finish()

    def close(self) -> None:
        if self._program.stdin and self._program.stdout:
            self._program.stdin.close()
            self._program.stdout.close()
        self._program.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> str:
        if self._program.stdout is None:
            raise RuntimeError("The clients' program has no output.")
        return self._program.stdout.readline()


def _wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


def main() -> None:
    """Fork for each line of the input; write the child's id, and when it has ended its status."""
    logging.disable()
    _hurry()
    _warm_up()
    if bug := sys.argv[1]:
        CLIENT_BUGS[bug]()
    for line in sys.stdin:
        call, patience, hold, path = line.rstrip("\n").split(" ", 3)
        pid = os.fork()
        if pid == 0:
            os._exit(_child(CALLS[call], Path(path), float(patience), hold=hold == "1"))
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _hurry() -> None:
    """Wait less than the library does, but in the same places; and read certificates once."""
    options = effects.client_options
    effects.client_options = lambda: {**options(), "verify": TLS}
    effects.REQUEST_SECONDS = 0.3
    rotation.FIRST_PAUSE = 0.02
    rotation.SAVING_PAUSES = (0.01, 0.02, 0.03)


def _warm_up() -> None:
    """Have imported what the library imports late: that is not what is looked at."""
    with contextlib.suppress(httpx.TransportError), httpx.Client(verify=TLS) as http:
        http.get("http://127.0.0.1:9/")


def _child(call: Callable[[Path, float], None], path: Path, patience: float, *, hold: bool) -> int:
    signal.alarm(PATIENCE)
    if hold:
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        call(path, patience)
    except (TryAgain, Limited, httpx.TransportError):
        return AGAIN
    except httpx.HTTPStatusError as error:
        return UNAUTHORIZED if error.response.status_code == 401 else AGAIN
    except ClientError:
        return REFUSED
    except BaseException:
        # Nothing of it is shown: a traceback may have credentials in it.
        return DEFECT
    return DONE


if __name__ == "__main__":
    main()
