"""A backup is made while the service runs, and brings all of it back."""

import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from keyturn.testing import Server

from .client import Service, after_rotation
from .conftest import service_of

pytestmark = pytest.mark.sqlite_files


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server."""
    made = Server(tmp_path / "data", rotation_limit=1000)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def service(server: Server) -> Service:
    return service_of(server, proxied=False)


@pytest.fixture
def copy(server: Server) -> Path:
    """Where a backup goes."""
    return server.data_dir.with_name("copy.db")


def backed_up(server: Server, copy: Path) -> None:
    result = server.run("backup", str(copy))
    assert result.returncode == 0, result.stderr


def restored(server: Server, copy: Path) -> None:
    result = server.run("restore", str(copy))
    assert result.returncode == 0, result.stderr


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """It was refused in one line that has these words."""
    output = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in output
    assert len(output.splitlines()) == 1, output
    assert all(word in output for word in words), output


def test_a_backup_made_under_way_brings_back_the_state_of_its_moment(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    backed_up(server, copy)
    later = service.register()
    server.stop()
    restored(server, copy)
    server.start()
    assert service.whoami(agent.key).json()["generation"] == 2
    assert service.rotate(agent.key, agent.secret).status_code == 200
    assert service.whoami(later.key).status_code == 401


def test_a_backup_is_one_private_file_without_credentials_and_server_keys(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    backed_up(server, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in copy.parent.glob("*copy.db*")] == ["copy.db"]
    held = copy.read_bytes()
    server_key = (server.data_dir / "server-key").read_bytes().strip().partition(b":")[2]
    assert agent.id.encode() in held
    for secret in (agent.key.encode(), agent.secret.encode(), server_key):
        assert secret not in held


def test_a_backup_overwrites_nothing(server: Server, copy: Path) -> None:
    copy.write_text("something else")
    refused(server.run("backup", str(copy)), str(copy), "there already")
    assert copy.read_text() == "something else"


def test_a_backup_that_can_not_be_written_is_refused(server: Server, tmp_path: Path) -> None:
    refused(server.run("backup", str(tmp_path / "nowhere" / "copy.db")), "can't be written")


def test_a_backup_of_no_database_makes_none(tmp_path: Path) -> None:
    server = Server(tmp_path / "empty")
    refused(server.run("backup", str(tmp_path / "copy.db")), "is not there")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_restored_while_a_server_runs(
    server: Server, service: Service, copy: Path
) -> None:
    backed_up(server, copy)
    agent = service.register()
    refused(server.run("restore", str(copy)), "in use", "stop the server")
    assert service.whoami(agent.key).status_code == 200
    assert list(server.data_dir.glob("keyturn.db-restoring*")) == []


def test_what_was_there_before_a_restore_is_kept_aside(
    server: Server, service: Service, copy: Path
) -> None:
    backed_up(server, copy)
    agent = service.register()
    server.kill()  # What it did is in its write-ahead log still.
    restored(server, copy)
    [aside] = server.data_dir.glob("keyturn.db.before-*Z")
    server.start()
    assert service.whoami(agent.key).status_code == 401
    server.stop()
    restored(server, aside)
    server.start()
    assert service.whoami(agent.key).status_code == 200


def test_the_trail_says_when_something_was_restored(
    server: Server, service: Service, copy: Path
) -> None:
    backed_up(server, copy)
    server.stop()
    restored(server, copy)
    server.start()
    [entry] = service.audit(action="store.restored")
    assert entry["actor"] == {"kind": "command_line", "id": None}


def test_a_backup_can_be_restored_into_an_empty_data_directory(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    backed_up(server, copy)
    server_key = (server.data_dir / "server-key").read_text().strip()
    server.stop()
    moved = Server(server.data_dir.with_name("moved"), server_key=server_key)
    restored(moved, copy)
    try:
        moved.start()
        assert Service(moved.url, service.operator, False).whoami(agent.key).status_code == 200
    finally:
        moved.kill()


def test_a_copy_made_by_hand_is_restored_with_its_write_ahead_log(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    server.kill()
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(
            (server.data_dir / f"keyturn.db{suffix}").read_bytes()
        )
    for path in server.data_dir.glob("keyturn.db*"):
        path.unlink()
    restored(server, copy)
    server.start()
    assert service.whoami(agent.key).status_code == 200


def _newer(copy: Path) -> None:
    connection = apsw.Connection(str(copy))
    connection.pragma("user_version", 1000)
    connection.close()


def _foreign(copy: Path) -> None:
    copy.unlink()
    connection = apsw.Connection(str(copy))
    connection.execute("CREATE TABLE something (else_ TEXT)")
    connection.close()


def _holed(copy: Path) -> None:
    whole = bytearray(copy.read_bytes())
    whole[8192:40960] = bytes(32768)
    copy.write_bytes(whole)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no database": (lambda copy: copy.write_bytes(b"nothing of the kind " * 500), "damaged"),
    "an empty file": (lambda copy: copy.write_bytes(b""), "another kind"),
    "half a database": (lambda copy: copy.write_bytes(copy.read_bytes()[:20480]), "damaged"),
    "pages of zeros": (_holed, "damaged"),
    "another program's database": (_foreign, "another kind"),
    "a schema of a later version": (_newer, "schema 1000"),
    "no file at all": (Path.unlink, "can't be copied"),
}


def test_what_is_no_good_backup_is_refused_and_changes_nothing(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    backed_up(server, copy)
    server.stop()
    good = copy.read_bytes()
    before = {path.name for path in server.data_dir.iterdir()}
    for spoil, word in SPOILED.values():
        copy.write_bytes(good)
        spoil(copy)
        refused(server.run("restore", str(copy)), str(copy), word)
        assert {path.name for path in server.data_dir.iterdir()} == before
    server.start()
    assert service.whoami(agent.key).status_code == 200


def test_a_backup_whose_server_key_is_missing_is_refused(
    server: Server, service: Service, copy: Path
) -> None:
    service.register()
    backed_up(server, copy)
    server.stop()
    other = Server(server.data_dir.with_name("other"))
    refused(other.run("restore", str(copy)), "no server key")
    assert not (other.data_dir / "keyturn.db").exists()


def test_no_empty_database_is_made_where_a_restore_was_interrupted(
    server: Server, service: Service, copy: Path
) -> None:
    agent = service.register()
    backed_up(server, copy)
    server.stop()
    (server.data_dir / "keyturn.db").rename(server.data_dir / "keyturn.db-restoring")
    refused(server.run("serve", "--port", str(server.port)), "interrupted", "again")
    restored(server, copy)
    server.start()
    assert service.whoami(agent.key).status_code == 200
