"""A real Keyturn server for tests: yours and ours.

What lives here starts and stops the command that operators run, in a process of its own, on a
free loopback port and a data directory of its own. Nothing is faked, so what passes against it
passes against a deployment.

    from keyturn.testing import running_server

    with running_server() as server:
        httpx.post(f"{server.url}/v1/auth/agent-register")
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx

START_TIMEOUT = 30.0
STOP_TIMEOUT = 40.0
DYING_TIMEOUT = 5.0
LOG_TAIL = 2000


@dataclass(frozen=True)
class Developer:
    """A developer of the server under test, and the token that speaks for them."""

    id: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Unreliable:
    """How many of 100 committed answers meet which fault; no answer meets two.

    Committed are answers of success to POST, PATCH and DELETE. `lose` ends the connection without
    an answer, `cut` within it; `delay` answers up to two seconds later; `duplicate` has the request
    answered a second time, as a proxy that tries again would, and sends that answer instead.
    """

    lose: float = 5.0
    cut: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0

    def __str__(self) -> str:
        return ",".join(f"{name}={share}" for name, share in asdict(self).items())


class Server:
    """One `keyturn serve`, with the handles a test needs: start, stop, kill, and the command line.

    `settings` are the names of the documentation in lower case without their prefix:
    `Server(path, rotation_limit=1000)` sets `KEYTURN_ROTATION_LIMIT`. `unreliable` breaks
    answers on purpose (a number is the percentage that is lost). Both may be changed for the next
    start.
    """

    program: ClassVar[Sequence[str]] = (sys.executable, "-m", "keyturn")
    """The command line, for a subclass that runs another one."""

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int = 1,
        unreliable: Unreliable | float | None = None,
        **settings: object,
    ) -> None:
        self.data_dir = data_dir
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self.workers = workers
        self.unreliable = unreliable
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with only the server's own `KEYTURN_*` settings in it."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("KEYTURN_")}
        chosen = {f"KEYTURN_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {**inherited, "KEYTURN_DATA_DIR": str(self.data_dir), **chosen}

    @property
    def pid(self) -> int:
        """The process id of the running server (with several workers, of their supervisor)."""
        if self._process is None:
            raise RuntimeError("The server is not running.")
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start the server; with `wait`, return when it is ready.

        Raises:
            RuntimeError: it ended, or was not ready in 30 seconds; its log's end is in the message.
        """
        command = ["serve", "--port", str(self.port), "--workers", str(self.workers)]
        if self.unreliable is not None:
            command += ["--unreliable", str(self.unreliable)]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            self._wait_until_ready()

    def stop(self) -> int:
        """Ask the server to stop (SIGTERM), wait for it, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End every process of the server at once (SIGKILL), as a crash would."""
        self._end(signal.SIGKILL)
        self._wait_until_silent()

    def restart(self) -> None:
        """Stop the server and start it again on the same port and data."""
        self.stop()
        self.start()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `keyturn ARGUMENTS` with the server's settings; the result has its output as text."""
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def create_developer(self, email: str, *, operator: bool = False) -> Developer:
        """Make a developer through the command line.

        Raises:
            RuntimeError: the command refused; the message has its output.
        """
        flags = ["--operator"] if operator else []
        result = self.run("developer", "create", "--email", email, "--json", *flags)
        if result.returncode != 0:
            raise RuntimeError(f"keyturn developer create failed: {result.stderr}")
        made = json.loads(result.stdout)
        return Developer(id=made["developerId"], token=made["token"])

    def _end(self, sign: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            if sign == signal.SIGKILL:
                os.killpg(process.pid, sign)
            else:
                process.send_signal(sign)
        return process.wait(timeout=STOP_TIMEOUT)

    def _wait_until_silent(self) -> None:
        """Until no worker that outlives the supervisor for a moment has the port."""
        deadline = time.monotonic() + DYING_TIMEOUT
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                time.sleep(0.01)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        # One client, which need not read whom to trust: either costs as much as the server's start.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with httpx.Client(timeout=5, trust_env=False, verify=nobody) as client:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    break
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"keyturn serve did not start:\n{self.log_path.read_text()[-LOG_TAIL:]}")


@contextlib.contextmanager
def running_server(
    *, workers: int = 1, unreliable: Unreliable | float | None = None, **settings: object
) -> Iterator[Server]:
    """A started server on a temporary data directory, stopped and removed afterwards.

    The arguments are those of `Server`.

    Raises:
        RuntimeError: it did not start; the message has its output.
    """
    with tempfile.TemporaryDirectory(prefix="keyturn-test-") as folder:
        path = Path(folder) / "data"
        server = Server(path, workers=workers, unreliable=unreliable, **settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
