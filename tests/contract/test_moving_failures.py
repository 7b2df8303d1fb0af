"""A move that fails leaves the service where it was, and can be tried again."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keyturn.testing import Server
from tests.command import command
from tests.postgres import Cluster
from tests.sqlite import opened

from .client import Service, after_rotation
from .conftest import service_of

pytestmark = pytest.mark.sqlite_files


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one token in it."""
    made = Server(tmp_path_factory.mktemp("files") / "data")
    assert command(made, "service", "create", "--name", "first").returncode == 0
    return made.data_dir


@pytest.fixture
def server(files: Path, tmp_path: Path) -> Iterator[Server]:
    """A handle on files that no server has open."""
    made = Server(tmp_path / "data")
    shutil.copytree(files, made.data_dir)
    yield made
    made.kill()


def moved(server: Server, url: str) -> subprocess.CompletedProcess[str]:
    return command(server, "migrate", "--to", url)


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """It was refused, in one line at the end that has these words."""
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def is_usable(server: Server, **settings: Any) -> bool:
    """Whether the service can be there, on the files or on what `database` names."""
    other = Server(server.data_dir, **settings)
    return command(other, "service", "create", "--name", "another").returncode == 0


def run(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def tables(url: str) -> list[str]:
    found = run(url, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return [name for (name,) in found]


def test_a_database_that_a_server_has_open_is_not_moved_and_goes_on(
    server: Server, url: str
) -> None:
    server.start()
    service = service_of(server, proxied=False)
    agent = service.register()
    refused(moved(server, url), "keyturn.db is in use", "stop the server")
    after_rotation(agent, service.rotate(agent.key, agent.secret))
    assert tables(url) == []


def test_limits_that_a_program_has_open_are_not_moved(server: Server, url: str) -> None:
    with opened(server.data_dir / "limits.db") as other:
        other.execute("SELECT * FROM attempts").fetchall()
        refused(moved(server, url), "limits.db is in use")
    assert moved(server, url).returncode == 0


def test_nobody_can_open_the_database_while_it_is_moved(server: Server, url: str) -> None:
    assert command(Server(server.data_dir, database=url), "migrate").returncode == 0
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE agents IN ACCESS EXCLUSIVE MODE")
        moving = subprocess.Popen(
            [*server.program, "migrate", "--to", url],
            env=server.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert moving.stdout
        assert moving.stdout.readline().startswith("Moving")
        assert not is_usable(server)
        other.rollback()
        moving.communicate()
    assert moving.returncode == 0
    assert not is_usable(server)
    assert is_usable(server, database=url)


def test_a_place_that_has_a_keyturn_is_refused_and_left_alone(
    server: Server, url: str, tmp_path: Path
) -> None:
    other = Server(tmp_path / "other", database=url)
    assert is_usable(other, database=url)
    before = run(url, "SELECT id FROM audit"), run(url, "SELECT * FROM installation")
    refused(moved(server, url), "There is a Keyturn already", "stays as it is")
    assert (run(url, "SELECT id FROM audit"), run(url, "SELECT * FROM installation")) == before
    assert is_usable(other, database=url)
    assert is_usable(server)


def test_a_place_that_has_another_programs_tables_is_refused_and_left_alone(
    server: Server, url: str
) -> None:
    run(url, "CREATE TABLE agents (theirs INTEGER)")
    refused(moved(server, url), "agents")
    assert tables(url) == ["agents"]
    assert is_usable(server)


def test_a_place_that_has_another_unfinished_move_is_refused(server: Server, url: str) -> None:
    assert command(Server(server.data_dir, database=url), "migrate").returncode == 0
    run(url, "UPDATE installation SET move = 'another'")
    refused(moved(server, url), "There is a Keyturn already")
    assert is_usable(server)


def test_a_place_that_is_prepared_and_was_never_used_is_empty(server: Server, url: str) -> None:
    assert command(Server(server.data_dir, database=url), "migrate").returncode == 0
    assert moved(server, url).returncode == 0


NOWHERE = {
    "postgresql://me:s3cret@127.0.0.1:1/x": "PostgreSQL can't be used",
    "postgresql://me:s3cret@[::1/x": "none that libpq understands",
    "postgresql://me:p@s3cret@127.0.0.1:1/x": "none that libpq understands",
    "sqlite:///s3cret.db": "--to must be postgresql://",
}


@pytest.mark.parametrize("target", NOWHERE)
def test_a_place_that_is_none_is_refused_without_its_password(server: Server, target: str) -> None:
    result = moved(server, target)
    refused(result, NOWHERE[target])
    assert "s3cret" not in result.stdout + result.stderr
    assert is_usable(server)


def test_what_is_not_in_a_file_is_not_moved(tmp_path: Path, url: str) -> None:
    refused(moved(Server(tmp_path / "none"), url), "keyturn.db is not there")
    refused(moved(Server(tmp_path / "none", database=url), url), "a database in a file")
    assert tables(url) == []


def trigger(url: str, table: str, body: str) -> None:
    """Let something happen to each row that is copied."""
    function = (
        f"CREATE FUNCTION happen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
    )
    run(url, function)
    run(
        url,
        f"CREATE TRIGGER happens BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION happen()",
    )


CHANGES = {
    "a text": ("audit", "NEW.details = '{}'; RETURN NEW;"),
    "a number": ("developers", "NEW.created_at = NEW.created_at + 1; RETURN NEW;"),
    "bytes": (
        "server_keys",
        "NEW.verifier = set_byte(NEW.verifier, 3, 255 - get_byte(NEW.verifier, 3)); RETURN NEW;",
    ),
    "something that was empty": ("tokens", "NEW.last_used_at = 0; RETURN NEW;"),
    "a row that was lost": ("audit", "RETURN NULL;"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_copy_that_is_not_the_same_is_refused_and_not_used(
    server: Server, url: str, what: str
) -> None:
    table, body = CHANGES[what]
    assert command(Server(server.data_dir, database=url), "migrate").returncode == 0
    trigger(url, table, body)
    refused(moved(server, url), f"{table} is not the same", "sha256")
    assert not is_usable(server, database=url)
    assert is_usable(server)
    run(url, f"DROP TRIGGER happens ON {table}")
    assert moved(server, url).returncode == 0
    assert is_usable(server, database=url)
    [(names,)] = run(url, "SELECT array_agg(name ORDER BY seq) FROM tokens")
    assert names == ["first", "another", "another"]


@pytest.mark.parametrize(
    "body", ["PERFORM pg_terminate_backend(pg_backend_pid());", "RAISE EXCEPTION 'no room';"]
)
def test_what_fails_half_way_leaves_nothing_and_can_be_tried_again(
    server: Server, url: str, body: str
) -> None:
    assert command(Server(server.data_dir, database=url), "migrate").returncode == 0
    trigger(url, "tokens", body)
    refused(moved(server, url), "PostgreSQL can't be used")
    assert run(url, "SELECT count(*) FROM audit") == [(0,)]
    assert not is_usable(server, database=url)
    assert is_usable(server)
    run(url, "DROP TRIGGER happens ON tokens")
    assert moved(server, url).returncode == 0


def test_a_copy_without_the_server_key_is_not_made(server: Server, url: str) -> None:
    key = server.data_dir / "server-key"
    key.rename(server.data_dir / "kept")
    refused(moved(server, url), "There is no server key")
    assert tables(url) == []
    (server.data_dir / "kept").rename(key)
    assert moved(server, url).returncode == 0
    elsewhere = Server(server.data_dir.with_name("third"), database=url)
    refused(command(elsewhere, "service", "create", "--name", "third"), "There is no server key")


def test_a_damaged_database_is_not_moved(server: Server, url: str) -> None:
    with opened(server.data_dir / "keyturn.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE tokens SET server_key = 'none'")
    refused(moved(server, url), "damaged")
    assert run(url, "SELECT to_regclass('agents')") == [(None,)]


def test_a_schema_of_a_later_version_is_not_moved(server: Server, url: str) -> None:
    with opened(server.data_dir / "keyturn.db") as connection:
        connection.pragma("user_version", 1000)
    refused(moved(server, url), "schema 1000")


def test_a_database_behind_its_fence_is_not_moved(tmp_path: Path, url: str) -> None:
    server = Server(tmp_path / "data", fence=tmp_path / "fence")
    try:
        server.start()
        service = service_of(server, proxied=False)
        agent = service.register()
        assert command(server, "backup", str(tmp_path / "copy.db")).returncode == 0
        new = after_rotation(agent, service.rotate(agent.key, agent.secret))
        server.stop()
        database = server.data_dir / "keyturn.db"
        newest = database.read_bytes()
        database.write_bytes((tmp_path / "copy.db").read_bytes())
        refused(moved(server, url), "older than its fence")
        refused(moved(Server(server.data_dir), url), "This installation has a fence")
        assert tables(url) == []
        database.write_bytes(newest)
        done = moved(server, url)
        assert "Take KEYTURN_FENCE away" in done.stdout, done.stderr
        del server.settings["fence"]
        server.settings["database"] = url
        server.start()
        assert Service(server.url, "", proxied=False).whoami(new.key).status_code == 200
        assert Service(server.url, "", proxied=False).whoami(agent.key).status_code == 401
    finally:
        server.kill()
