"""`--unreliable`: how many answers it breaks, and where it refuses to start."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from keyturn.testing import Server, Unreliable, running_server

from .client import ANOTHER_CONNECTION, Service
from .conftest import PROXIES

REGISTER = "/v1/auth/agent-register"


def _lost(service: Service) -> bool:
    with contextlib.suppress(httpx.RemoteProtocolError):
        service.post(REGISTER, headers=ANOTHER_CONNECTION).raise_for_status()
        return False
    return True


def _faults(server: Server) -> Counter[str]:
    lines = [json.loads(line) for line in server.log_path.read_text().splitlines() if "{" in line]
    return Counter(line["fault"] for line in lines if "fault" in line)


@pytest.mark.parametrize("workers", [1, 2])
def test_about_the_asked_share_is_lost(workers: int) -> None:
    with running_server(workers=workers, trusted_proxies=PROXIES, unreliable=50) as server:
        service = Service(server.url, operator="")
        lost = sum(_lost(service) for _ in range(200))
        # By chance it is further off less than once in 10^9 runs.
        assert 55 <= lost <= 145
        assert _faults(server) == {"lose": lost}


def test_each_fault_has_its_share() -> None:
    unreliable = Unreliable(lose=25, cut=25, duplicate=25)
    with running_server(trusted_proxies=PROXIES, unreliable=unreliable) as server:
        service = Service(server.url, operator="")
        lost = sum(_lost(service) for _ in range(200))
        faults = _faults(server)
    assert set(faults) == {"lose", "cut", "duplicate"}
    assert all(10 <= count <= 90 for count in faults.values())
    assert lost == faults["lose"] + faults["cut"]


def test_the_greeting_warns() -> None:
    with running_server(unreliable=Unreliable(cut=2.5)) as server:
        (warning,) = (line for line in server.log_path.read_text().splitlines() if "Warn" in line)
        assert "on purpose" in warning and "lose=5,cut=2.5,delay=0,duplicate=0" in warning


def _refused(path: Path, *flags: str) -> str:
    """The one line with which a start with the flags was refused, and that nothing was made."""
    server = Server(path / "data")
    result = server.run("serve", "--port", str(server.port), *flags)
    assert result.returncode != 0
    assert not server.data_dir.exists()
    (line,) = (result.stdout + result.stderr).splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_machines_are_never_answered_unreliably(tmp_path: Path, host: str) -> None:
    line = _refused(tmp_path, "--unreliable", "5", "--host", host)
    assert "--unreliable" in line and "loopback" in line and host in line


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_any_loopback_address_will_do(tmp_path: Path, host: str) -> None:
    line = _refused(tmp_path, "--unreliable", "x", "--host", host)
    assert "loopback" not in line and "must be a percentage" in line


BAD_SHARES = [
    "", "x", "-1", "101", "nan", "5%", "5,6", "lose", "lose=x", "lose=-1", "drop=5",
    "lose=5,lose=6", "lose=5,", "lose=60,cut=41",
]  # fmt: skip


@pytest.mark.parametrize("shares", BAD_SHARES)
def test_bad_shares_are_refused(tmp_path: Path, shares: str) -> None:
    line = _refused(tmp_path, "--unreliable", shares)
    assert "--unreliable" in line and "lose=5,cut=2,delay=10,duplicate=3" in line
