"""Runs the examples: the very files, with other ports, in real proxies."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WHERE = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Debian keeps nginx where only root looks."""

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    include keyturn.conf;
}
"""
CADDY = """
{
    admin off
}
"""


def nginx(folder: Path, ports: Mapping[str, int]) -> Sequence[str]:
    """The command that runs the nginx example."""
    (folder / "keyturn.conf").write_text(example("nginx/keyturn.conf", ports))
    (folder / "nginx.conf").write_text(NGINX)
    return [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]


def caddy(folder: Path, ports: Mapping[str, int]) -> Sequence[str]:
    """The command that runs the Caddy example."""
    (folder / "Caddyfile").write_text(CADDY + example("caddy/Caddyfile", ports))
    return run_caddy()


def run_caddy() -> Sequence[str]:
    """The command that runs the Caddyfile of the folder it is started in."""
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", "Caddyfile"]


PROXIES: dict[str, Callable[[Path, Mapping[str, int]], Sequence[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
}


def example(path: str, ports: Mapping[str, int]) -> str:
    """The file with other ports, by those that it has: each must be there."""
    text = (EXAMPLES / path).read_text()
    for port, other in ports.items():
        assert f":{port}" in text, f"{path} has no port {port}"
        text = text.replace(f":{port}", f":{other}")
    return text


def program(name: str) -> str:
    """Where it is installed."""
    found = shutil.which(name, path=WHERE)
    if found is None:
        pytest.fail(
            f"{name} is not installed (Debian: apt-get install {name}): its example is not tested",
            pytrace=False,
        )
    return found


def installed_beside_python(name: str) -> str:
    """Where a program of the development requirements is."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.fail(f"{name} is not installed (requirements/dev.txt)", pytrace=False)
    return found


@contextlib.contextmanager
def running_proxy(name: str, folder: Path, *, keyturn: int, api: int) -> Iterator[int]:
    """The port of the example's proxy, started in the folder and stopped afterwards."""
    port = free_port()
    command = PROXIES[name](folder, {"8080": port, "8787": keyturn, "9000": api})
    with running(command, folder, port):
        yield port


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, port: int, **environment: str) -> Iterator[None]:
    """A program that listens on the port, started in the folder and killed afterwards."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": WHERE, "HOME": str(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process, log)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when somebody listens on the port."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    pytest.fail(f"{log.parent.name} did not start:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
