"""Section 8: files that were moved, emptied or taken for others, and keys that others have."""

import shutil
from pathlib import Path

import pytest

from keyturn.testing import Server, running_server

from .client import Service, unique


def _stopped(server: Server) -> Server:
    server.stop()
    return server


def _refuses_to_start(server: Server, *words: str) -> None:
    result = server.run("serve", "--port", str(server.port))
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("spoiled", ["empty", "dangling link"])
def test_a_server_key_that_cannot_be_kept_is_never_used(tmp_path: Path, spoiled: str) -> None:
    server = Server(tmp_path / "data")
    server.data_dir.mkdir(mode=0o700)
    key = server.data_dir / "server-key"
    if spoiled == "empty":
        key.touch(mode=0o600)
    else:
        key.symlink_to(tmp_path / "not-mounted")
    _refuses_to_start(server, "server-key")


def test_a_command_without_the_servers_key_makes_none_of_its_own() -> None:
    with running_server(server_key=f"kept:{'A' * 43}") as server:
        visitor = Server(server.data_dir)
        result = visitor.run("developer", "create", "--email", f"{unique('d')}@example.com")
        assert result.returncode != 0
        assert "'kept'" in result.stderr
        assert not (server.data_dir / "server-key").exists()
        server.restart()


@pytest.mark.sqlite_files
def test_a_database_that_was_moved_away_is_noticed_and_not_made_anew() -> None:
    with running_server() as server:
        service = Service(server.url, "", proxied=False)
        agent = service.register()
        database = server.data_dir / "keyturn.db"
        database.rename(server.data_dir / "moved.db")
        assert service.get("/readyz").status_code == 503
        server.kill()
        _refuses_to_start(server, "-wal")
        (server.data_dir / "moved.db").rename(database)
        server.start()
        assert service.whoami(agent.key).status_code == 200


@pytest.mark.sqlite_files
def test_the_two_databases_are_not_taken_for_each_other() -> None:
    with running_server() as server:
        _stopped(server)
        shutil.copy(server.data_dir / "limits.db", server.data_dir / "keyturn.db")
        _refuses_to_start(server, "keyturn.db", "another kind of database")


def test_a_server_key_that_is_there_cannot_be_abandoned() -> None:
    with running_server() as server:
        service = Service(server.url, "", proxied=False)
        agent = service.register()
        key_id = (server.data_dir / "server-key").read_text().partition(":")[0]
        _stopped(server)
        result = server.run("serve", "--port", str(server.port), "--abandon-key", key_id)
        assert result.returncode != 0
        assert "not missing" in result.stderr
        server.start()
        assert service.whoami(agent.key).status_code == 200
