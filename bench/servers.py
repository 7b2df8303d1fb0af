"""The servers under measurement, each started on its own cores and waited for."""

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.bare import CHECKED
from bench.machine import cores_for, pinned, process, program
from keyturn.testing import Server

LIMIT = 1_000_000
SETTINGS: dict[str, Any] = {
    "rotation_limit": LIMIT,
    "registration_limit": LIMIT,
    "registration_total": LIMIT,
    # Short, so that attempts are forgotten as fast as they are made, as in a service that runs.
    "rotation_window": 10,
    "trusted_proxies": "127.0.0.1/32",
}


@dataclass(frozen=True)
class Running:
    """A server that answers: where, and which process it is."""

    port: int
    pid: int


class PlainServer(Server):
    """The product on uvicorn's own protocol (`bench.checks.plain`)."""

    program: ClassVar[Sequence[str]] = (sys.executable, "-m", "bench.checks.plain")


@contextlib.contextmanager
def keyturn(
    data_dir: Path, *, workers: int = 1, kind: type[Server] = Server, database: str = ""
) -> Iterator[Running]:
    """The product itself, from its own command, with limits out of the way."""
    server = kind(data_dir, workers=workers, database=database, **SETTINGS)
    with pinned(cores_for(workers)):
        server.start()
    try:
        yield Running(server.port, server.pid)
    finally:
        server.stop()


@contextlib.contextmanager
def planted(data_dir: Path) -> Iterator[Running]:
    """The product with a difference of time planted in it (`bench.timing.planted`)."""
    server = Server(data_dir, **SETTINGS)
    command = ("-m", "bench.timing.planted")
    environment = {**server.environment, "KEYTURN_PORT": str(server.port)}
    with process(*command, on=cores_for(1), environment=environment) as child:
        wait_for(server.port)
        yield Running(server.port, child.pid)


@contextlib.contextmanager
def bare(name: str) -> Iterator[Running]:
    """One of the servers of `bench.bare`."""
    port = free_port()
    with process("-m", "bench.bare", name, str(port), on=cores_for(1)) as child:
        wait_for(port)
        yield Running(port, child.pid)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Running]:
    """nginx with one worker, which answers anything as a check is answered.

    Raises:
        FileNotFoundError: it is not installed.
    """
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        raise FileNotFoundError("nginx is not installed (apt-get install nginx)")
    port = free_port()
    folder.mkdir(parents=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(_nginx_configuration(folder, port))
    command = (binary, "-p", str(folder), "-e", "stderr", "-c", str(configuration))
    with program(*command, on=cores_for(1)) as child:
        wait_for(port)
        yield Running(port, child.pid)


def _nginx_configuration(folder: Path, port: int) -> str:
    headers = "\n".join(
        f'      add_header {name.decode()} "{value.decode()}";'
        for name, value in CHECKED
        if name != b"content-length"
    )
    temporary = "\n".join(
        f"  {kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{temporary}
  server {{
    listen 127.0.0.1:{port};
    location / {{
{headers}
      return 200;
    }}
  }}
}}
"""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 30) -> None:
    """Return as soon as something listens on the port.

    Raises:
        TimeoutError: nothing did.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"Nothing listens on port {port}.")
