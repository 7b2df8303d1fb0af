"""Whatever a table of SQLite's can hold is the same on PostgreSQL, and nothing is forgotten."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from keyturn.storage import migrations
from keyturn.storage.moving import Copy, filled
from keyturn.storage.original import CREDENTIALS, LIMITS, Original, describe, held
from keyturn.storage.sqlite_file import Database, credentials_database, limits_database, prepare
from tests.postgres import Cluster

NUMBERS = some.integers(-(2**63), 2**63 - 1)
TEXTS = some.text(some.characters(exclude_categories=["Cs"], include_characters="\0\ufffe\\\t\n"))
MAYBE = some.none() | NUMBERS
ENTRY = some.tuples(
    NUMBERS, TEXTS, some.none() | TEXTS, some.none() | TEXTS, some.none() | TEXTS, TEXTS
)
CHARGE = some.tuples(some.binary(max_size=40), TEXTS, NUMBERS, NUMBERS, TEXTS)
ATTEMPT = some.tuples(TEXTS, NUMBERS, NUMBERS)
ADD_ENTRY = """
    INSERT INTO audit (id, at, actor_kind, outcome, action, actor_id, address, agent_id, details)
    VALUES (hex(randomblob(16)), ?, 'agent', 'success', ?, ?, ?, ?, ?)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("moving")


@pytest.fixture(scope="module")
def databases(folder: Path) -> tuple[Database, Database]:
    """Both databases, new."""
    made = credentials_database(folder / "keyturn.db"), limits_database(folder / "limits.db")
    for database in made:
        prepare(database)
    return made


@pytest.fixture(scope="module")
def copy(postgres: Cluster) -> Iterator[Copy]:
    with contextlib.closing(Copy(postgres.new_database())) as made:
        yield made


def moved(original: Original, copy: Copy) -> None:
    copy.prepare(original.id, "m")
    read = copy.fill(original, "m", lambda *_: None)
    assert dict(copy.contents(original)) == read


def rows(copy: Copy, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(copy._url) as connection:
        return connection.execute(query).fetchall()


def kept(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """As PostgreSQL can: no text has a NUL in it."""
    return [
        tuple(each.replace("\0", "\ufffe") if isinstance(each, str) else each for each in row)
        for row in rows
    ]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=some.lists(ENTRY, min_size=5, max_size=30),
    charges=some.lists(CHARGE, min_size=5, max_size=30, unique_by=lambda row: row[0]),
    attempts=some.lists(ATTEMPT, min_size=5, max_size=30),
)
def test_any_value_is_the_same(
    databases: tuple[Database, Database],
    copy: Copy,
    entries: list[tuple[Any, ...]],
    charges: list[tuple[Any, ...]],
    attempts: list[tuple[Any, ...]],
) -> None:
    with held(*databases) as original:
        for table, database in (
            ("audit", original.credentials),
            ("charges", original.credentials),
            ("attempts", original.limits),
        ):
            database.execute(f"DELETE FROM {table}")
        original.credentials.executemany(ADD_ENTRY, entries)
        original.credentials.executemany("INSERT INTO charges VALUES (?, ?, ?, ?, ?)", charges)
        original.limits.executemany("INSERT INTO attempts VALUES (?, ?, ?)", attempts)
        moved(original, copy)
    columns = "at, action, actor_id, address, agent_id, details"
    assert rows(copy, f"SELECT {columns} FROM audit ORDER BY seq") == kept(entries)
    assert rows(copy, "SELECT bucket, at, expires_at FROM attempts ORDER BY seq") == kept(attempts)
    found = rows(copy, "SELECT mac, agent_id, cost, expires_at, server_key FROM charges")
    assert sorted(found) == sorted(kept(charges))


def test_numbers_that_were_given_once_are_not_given_again(
    databases: tuple[Database, Database], copy: Copy
) -> None:
    with held(*databases) as original:
        original.credentials.executemany(ADD_ENTRY, [(0, "a", None, None, None, "{}")] * 3)
        last = original.credentials.execute("SELECT max(seq) FROM audit").get
        original.credentials.execute("DELETE FROM audit WHERE seq = ?", (last,))
        moved(original, copy)
    query = "SELECT nextval(pg_get_serial_sequence('{}', 'seq'))"
    assert rows(copy, query.format("audit")) == [(last + 1,)]
    assert rows(copy, query.format("refusals")) == [(1,)]


def test_every_table_and_column_of_both_databases_is_copied(
    databases: tuple[Database, Database], copy: Copy
) -> None:
    with held(*databases) as original:
        copy.prepare(original.id, "m")
        described = {table.name: set(table.columns) for _, table in original.tables()}
        for database, names in ((original.credentials, CREDENTIALS), (original.limits, LIMITS)):
            there = {
                name
                for (name,) in database.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' "
                    "AND name NOT LIKE 'sqlite_%' AND name <> 'installation'"
                )
            }
            assert there == set(names)
    found: dict[str, set[str]] = {}
    for table, column in rows(
        copy,
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema()",
    ):
        found.setdefault(table, set()).add(column)
    assert {name: found[name] for name in described} == described
    assert set(found) - set(described) == {"installation", "keyturn_schema", "keyturn_turns"}


def test_both_databases_have_migrations_of_the_same_numbers() -> None:
    assert len(migrations.scripts("sqlite")) == len(migrations.scripts("postgres"))


def test_a_table_without_a_key_has_the_number_of_its_rows(
    databases: tuple[Database, Database],
) -> None:
    with held(*databases) as original:
        assert describe(original.limits, "attempts").key == ("seq",)


def test_what_was_not_left_is_there_as_it_was(databases: tuple[Database, Database]) -> None:
    with held(*databases) as original:
        original.credentials.execute("DELETE FROM developers")
    with contextlib.closing(apsw.Connection(str(databases[0].path))) as connection:
        assert connection.execute("SELECT count(*) FROM developers").get == 1


def test_a_copy_that_lost_its_rows_is_not_complete(
    databases: tuple[Database, Database], copy: Copy
) -> None:
    marks = "SELECT move FROM installation"
    with held(*databases) as original:
        moved(original, copy)
        assert rows(copy, marks) == [(filled("m"),)]
        # As a standby has it that took over before the rows came.
        copy.prepare(original.id, "m")
        assert rows(copy, marks) == [("m",)]
