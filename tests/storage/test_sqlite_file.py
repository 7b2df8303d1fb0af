"""Opening a SQLite file: what is refused, what is made, and who may read it."""

import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

from keyturn.storage.queries import load
from keyturn.storage.sqlite_file import (
    Database,
    affected_by_wal_reset,
    connect,
    credentials_database,
    limits_database,
    prepare,
)
from keyturn.storage.store import UnusableDatabase
from tests.storage.backends import DATABASES, Place
from tests.storage.batches import PATIENCE, do

NEWEST = {"keyturn.db": 11, "limits.db": 2}
"""The schemas that this version writes."""


@pytest.fixture
def described(database: str, tmp_path: Path) -> Database:
    """A database that is not there yet."""
    return DATABASES[database](tmp_path / "data" / database)


@contextlib.contextmanager
def plain(path: Path) -> Iterator[apsw.Connection]:
    """A connection as any other program would open it."""
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        yield connection


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.6.23.1", False),
        ("3.7.0", True),
        ("3.7.17", True),
        ("3.40.1", True),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.2.9", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("3.100.0", False),
        ("4.0.0", False),
    ],
)
def test_versions_from_3_7_0_to_3_51_2_can_corrupt(version: str, affected: bool) -> None:
    assert affected_by_wal_reset(version) is affected


def test_an_affected_version_is_refused_before_anything_is_made(
    described: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(UnusableDatabase, match=r"SQLite 3\.51\.2 can corrupt .* 3\.51\.3"):
        prepare(described)
    assert not described.path.parent.exists()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_service_may_read_what_it_makes(place: Place, umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = os.umask(umask)
    try:
        with replace(place, folder=folder).opened() as store:
            do(store.write(place.put("a", 1)))
            made = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    finally:
        os.umask(before)
    name = place.database
    assert made == {name: 0o600, f"{name}-wal": 0o600, f"{name}-shm": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_preparing_again_changes_nothing(place: Place, described: Database) -> None:
    there = replace(place, folder=described.path.parent)
    assert prepare(described) == NEWEST[place.database]
    with there.opened() as store:
        do(store.write(place.put("a", 5)))
    assert prepare(described) == NEWEST[place.database]
    with there.opened() as store:
        assert do(store.read(place.get("a"))) == 5


def test_an_empty_file_becomes_a_database(described: Database) -> None:
    described.path.parent.mkdir()
    described.path.touch()
    assert prepare(described) == NEWEST[described.path.name]


def test_several_that_make_the_same_database_at_once_all_succeed(
    database: str, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()

    def make(described: Database, start: threading.Barrier) -> None:
        start.wait(PATIENCE)
        try:
            prepare(described)
        except UnusableDatabase as error:
            outcomes[str(error).replace(str(tmp_path), "…")] += 1
        else:
            outcomes["made"] += 1

    for number in range(20):
        described = DATABASES[database](tmp_path / str(number) / "same.db")
        start = threading.Barrier(4)
        threads = [threading.Thread(target=make, args=(described, start)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert outcomes == {"made": 80}


def test_a_newer_schema_is_refused_and_left_as_it_is(described: Database) -> None:
    known = prepare(described)
    with plain(described.path) as connection:
        connection.execute(f"CREATE TABLE from_the_future (x); PRAGMA user_version = {known + 1}")
    expected = f"has schema {known + 1} and this Keyturn knows {known}"
    with pytest.raises(UnusableDatabase, match=expected):
        prepare(described)
    with plain(described.path) as connection:
        assert connection.pragma("user_version") == known + 1


@pytest.mark.parametrize("version", [0, 1, 9])
def test_another_programs_database_is_refused_and_left_as_it_is(
    described: Database, version: int
) -> None:
    described.path.parent.mkdir()
    with plain(described.path) as connection:
        connection.execute(f"CREATE TABLE theirs (x); PRAGMA user_version = {version}")
    before = described.path.read_bytes()
    with pytest.raises(UnusableDatabase, match="is another kind of database"):
        prepare(described)
    assert (described.path.read_bytes() == before) is True
    assert [file.name for file in described.path.parent.iterdir()] == [described.path.name]


IDENTITIES = {"keyturn.db": 0x4B74726E, "limits.db": 0x4B746C6D}
"""What the files of every released version carry."""


def test_a_database_is_known_by_an_id_that_never_changes(described: Database) -> None:
    prepare(described)
    with plain(described.path) as connection:
        assert connection.pragma("application_id") == IDENTITIES[described.path.name]


def test_one_of_our_databases_is_not_taken_for_the_other(tmp_path: Path) -> None:
    prepare(credentials_database(tmp_path / "a.db"))
    prepare(limits_database(tmp_path / "b.db"))
    with pytest.raises(UnusableDatabase, match="is another kind of database"):
        prepare(limits_database(tmp_path / "a.db"))
    with pytest.raises(UnusableDatabase, match="is another kind of database"):
        prepare(credentials_database(tmp_path / "b.db"))


def test_changes_whose_database_is_gone_are_not_thrown_away(place: Place, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    wal = f"{place.database}-wal"
    with place.opened() as store:
        do(store.write(place.put("a", 5)))
        shutil.copy(place.folder / wal, copied)
    before = (copied / wal).read_bytes()
    with pytest.raises(UnusableDatabase, match="is gone, and its -wal is there"):
        prepare(DATABASES[place.database](copied / place.database))
    assert [file.name for file in copied.iterdir()] == [wal]
    assert ((copied / wal).read_bytes() == before) is True


DAMAGES = {
    "another kind of file": b"id,name\n1,ada\n" * 500,
    "nothing but zeros": bytes(8192),
    "a short text": b"not a database",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    described: Database, content: bytes
) -> None:
    described.path.parent.mkdir()
    described.path.write_bytes(content)
    with pytest.raises(UnusableDatabase, match="is damaged or not a database"):
        prepare(described)
    assert (described.path.read_bytes() == content) is True


def test_a_damaged_header_is_refused(described: Database) -> None:
    prepare(described)
    content = bytearray(described.path.read_bytes())
    content[:16] = b"x" * 16
    described.path.write_bytes(content)
    with pytest.raises(UnusableDatabase, match="is damaged or not a database"):
        prepare(described)


def test_a_folder_in_the_files_place_is_refused(described: Database) -> None:
    described.path.mkdir(parents=True)
    with pytest.raises(UnusableDatabase, match="can't be opened"):
        prepare(described)


def test_a_file_in_the_folders_place_is_refused(described: Database) -> None:
    described.path.parent.write_text("a file")
    with pytest.raises(UnusableDatabase, match="can't be opened"):
        prepare(described)


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Migrations of a test's own; the first one makes a table."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE first (x) STRICT;".replace("x", "x TEXT"))
    return folder


def test_migrations_are_applied_in_their_order_each_once(migrations: Path, tmp_path: Path) -> None:
    described = replace(credentials_database(tmp_path / "a.db"), migrations=str(migrations))
    assert prepare(described) == 1
    (migrations / "0003_third.sql").write_text("INSERT INTO first SELECT y FROM second;")
    (migrations / "0002_second.sql").write_text(
        "CREATE TABLE second (y TEXT); INSERT INTO second VALUES ('moved');"
    )
    (migrations / "notes.txt").write_text("not SQL")
    assert prepare(described) == prepare(described) == 3
    with contextlib.closing(connect(described)) as connection:
        assert connection.execute("SELECT x FROM first").get == "moved"


def test_a_charge_of_before_it_named_its_server_key_is_known_still(tmp_path: Path) -> None:
    today = credentials_database(tmp_path / "a.db")
    (tmp_path / "before").mkdir()
    shipped = files("keyturn.storage.migrations").joinpath(today.migrations)
    for script in sorted(shipped.iterdir(), key=lambda script: script.name)[:4]:
        (tmp_path / "before" / script.name).write_text(script.read_text())
    assert prepare(replace(today, migrations=str(tmp_path / "before"))) == 4
    with plain(today.path) as connection:
        connection.execute("INSERT INTO charges VALUES (x'01', 'an agent', 5, 1000)")
    assert prepare(today) == NEWEST["keyturn.db"]
    with contextlib.closing(connect(today)) as connection:
        query = load(today.queries)["charge_by_mac"]
        assert connection.execute(query, {"mac": b"\x01", "now": 999}).get == ("an agent", 5)


def test_a_migration_that_fails_leaves_nothing_of_itself_nor_of_those_before_it(
    migrations: Path, tmp_path: Path
) -> None:
    described = replace(credentials_database(tmp_path / "a.db"), migrations=str(migrations))
    prepare(described)
    (migrations / "0002_second.sql").write_text("CREATE TABLE second (y);")
    (migrations / "0003_third.sql").write_text("CREATE TABLE third (z); INSERT INTO nowhere;")
    with pytest.raises(UnusableDatabase):
        prepare(described)
    with plain(described.path) as connection:
        assert connection.pragma("user_version") == 1
        assert connection.execute("SELECT group_concat(name) FROM sqlite_schema").get == "first"


def test_a_copy_of_the_files_opens_like_the_original(place: Place, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    with place.opened() as store:
        do(store.write(place.put("a", 5)))
    copied.mkdir()
    shutil.copy(place.folder / place.database, copied)
    with replace(place, folder=copied).opened() as store:
        assert do(store.read(place.get("a"))) == 5
