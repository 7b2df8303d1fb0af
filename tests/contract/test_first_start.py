"""Section 8: a service on a new data directory, and the commands beside it."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keyturn.testing import Server
from tests.sqlite import opened

from .conftest import service_of

SERVER_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server that never ran."""
    server = Server(tmp_path / "data")
    yield server
    server.kill()


@pytest.mark.sqlite_files
@pytest.mark.usefixtures("not_forked")
def test_the_first_start_makes_a_private_server_key(fresh: Server) -> None:
    fresh.start()
    files = {path.name: path for path in fresh.data_dir.iterdir()}
    assert {"keyturn.db", "limits.db", "server-key"} <= set(files)
    assert files["server-key"].stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o077 == 0 for path in files.values())
    before = files["server-key"].read_text()
    fresh.restart()
    assert files["server-key"].read_text() == before


@pytest.mark.sqlite_files
def test_databases_in_one_directory_do_not_share_their_limits(fresh: Server) -> None:
    databases = {
        "keyturn.db": "limits.db",
        "acme.db": "acme-limits.db",
        "acme": "acme-limits",
        "limits": "limits-limits",
    }
    for name in databases:
        fresh.settings["database"] = f"sqlite:///{fresh.data_dir / name}"
        fresh.run("migrate").check_returncode()
    made = {path.name for path in fresh.data_dir.iterdir()}
    assert made == {*databases, *databases.values()}


def test_it_says_how_to_set_up_while_no_operator_exists(fresh: Server) -> None:
    fresh.start()
    assert "/setup" in fresh.log_path.read_text()
    service_of(fresh)
    fresh.stop()
    fresh.log_path.unlink()
    fresh.start()
    assert "/setup" not in fresh.log_path.read_text()


def test_a_server_key_from_the_environment_makes_no_file(fresh: Server) -> None:
    fresh.settings["server_key"] = f"env:{SERVER_KEY}"
    fresh.start()
    assert not (fresh.data_dir / "server-key").exists()
    assert service_of(fresh).register().id


@pytest.mark.usefixtures("not_forked")
def test_the_commands_work_while_it_runs(fresh: Server) -> None:
    fresh.start()
    service = service_of(fresh, proxied=False)
    made = fresh.create_developer("someone@example.com")
    assert service.get("/v1/agents", made.token).status_code == 200
    assert service.get("/v1/developers", made.token).status_code == 403
    created = fresh.run("service", "create", "--name", "gateway", "--json")
    assert created.returncode == 0
    assert '"sk_live_sv_' in created.stdout.replace(" ", "")
    taken = fresh.run("developer", "create", "--email", "someone@example.com")
    assert taken.returncode != 0
    assert "Traceback" not in taken.stderr
    assert fresh.run("migrate").returncode == 0
    entries = [e for e in service.audit() if e["actor"]["kind"] == "command_line"]
    assert {entry["action"].split(".")[0] for entry in entries} == {"developer", "token"}


@contextlib.contextmanager
def _busy(path: Path) -> Iterator[None]:
    """Every other fifth of a second, another process has the database to itself."""
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(0.2):
            with opened(path) as connection:
                connection.pragma("locking_mode", "exclusive")
                connection.pragma("user_version", connection.pragma("user_version"))
                over.wait(0.2)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.sqlite_files
@pytest.mark.parametrize("name", ["keyturn.db", "limits.db"])
def test_a_database_that_is_busy_for_a_moment_is_waited_for(fresh: Server, name: str) -> None:
    fresh.run("migrate").check_returncode()
    with _busy(fresh.data_dir / name), ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: fresh.run("migrate"), range(4)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
