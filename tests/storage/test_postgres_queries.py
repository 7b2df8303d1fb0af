"""Every named statement fits the schema on PostgreSQL too, and looks up what it asks for."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from keyturn import storage
from keyturn.storage import postgres_server
from keyturn.storage.queries import load
from tests.postgres import Cluster
from tests.storage.test_queries import FILES, HOT, LOOKED_UP, OTHER_NAMES, RECORDS, STATEMENTS

DESCRIBED = {
    "keyturn.db": postgres_server.credentials_database("never opened"),
    "limits.db": postgres_server.limits_database("never opened"),
}
NAMED = {name: postgres_server.statements(database) for name, database in DESCRIBED.items()}
BYTES = {"mac", "lookup", "salt", "sealed", "verifier", "old_mac", "new_mac"}
NUMBERS = re.compile(
    r"now|at|.*_at|.*_by|.*before.*|after|since|until|limit|quota|through|seq|generation|cost|count|"
    r"times|fenced|operator|self_registered|by_agent|max_uses|credit_balance|rotation_period_days|width|after_seq"
)
LACKING = re.compile(
    r"(?i)\b(pg_(try_)?advisory_\w+|pg_notify|(un)?listen|notify|temp|temporary|unlogged)\b"
)


def value(name: str) -> object:
    """Something of the type that goes under this name."""
    if name in BYTES or name.endswith("_mac"):
        return b"m"
    return 1 if NUMBERS.fullmatch(name) else "x"


@pytest.fixture(scope="module")
def connection(postgres: Cluster) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection to a database with all tables, where an index is used wherever it can be."""
    url = postgres.new_database()
    postgres_server.prepare(postgres_server.credentials_database(url))
    postgres_server.prepare(postgres_server.limits_database(url))
    with psycopg.connect(url, autocommit=True) as opened:
        for dearer in ("seqscan", "bitmapscan", "sort"):
            opened.execute(f"SET enable_{dearer} = off")
        yield opened


def plan(connection: psycopg.Connection[TupleRow], database: str, name: str) -> str:
    statement = NAMED[database][name]
    values = {each: value(each) for each in re.findall(r"%\((\w+)\)s", statement)}
    if name.startswith("agents_by_name"):
        values["after"] = "x"
    for listed in {"ids", "uses", "seqs"} & values.keys():
        values[listed] = "[]" if "json" in statement else 1
    rows = connection.execute("EXPLAIN " + statement, values).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(("database", "name"), STATEMENTS)
def test_every_statement_fits_the_schema(
    connection: psycopg.Connection[TupleRow], database: str, name: str
) -> None:
    assert plan(connection, database, name)


@pytest.mark.parametrize("name", RECORDS)
def test_the_columns_of_a_statement_are_the_members_of_its_record(
    connection: psycopg.Connection[TupleRow], name: str
) -> None:
    database = next(database for database, known in STATEMENTS if known == name)
    statement = NAMED[database][name]
    found = connection.execute(
        statement, dict.fromkeys(re.findall(r"%\((\w+)\)s", statement))
    ).description
    assert [column.name for column in found or []] == [
        OTHER_NAMES.get(member, member) for member in RECORDS[name]
    ]


@pytest.mark.parametrize(("database", "name"), HOT)
def test_what_every_request_asks_is_looked_up_and_never_searched_for(
    connection: psycopg.Connection[TupleRow], database: str, name: str
) -> None:
    found = plan(connection, database, name)
    assert re.search(r"Index (Only )?(Scan|Cond)", found)
    assert "Seq Scan" not in found


@pytest.mark.parametrize("name", [name for name, _ in LOOKED_UP])
def test_a_page_of_the_trail_is_looked_up_by_time_and_not_sorted(
    connection: psycopg.Connection[TupleRow], name: str
) -> None:
    found = plan(connection, "keyturn.db", name)
    assert "Index Scan Backward using audit_" in found
    assert "Sort" not in found


def test_what_postgresql_says_in_its_own_words_is_known_by_the_name_it_has_elsewhere() -> None:
    known = {name for file in FILES.values() for name in load(file)}
    assert set(load("postgres.sql")) - known == {"schema_version", "hold_schema"}


def test_nothing_is_asked_for_that_distributed_engines_lack() -> None:
    folder = Path(storage.__file__).parent
    files = [*folder.glob("postgres*.py"), *folder.glob("*.sql")]
    files += folder.glob("migrations/postgres*/*.sql")
    assert {"postgres.py", "queries.sql", "0001_initial.sql"} <= {file.name for file in files}
    assert [file.name for file in files if LACKING.search(file.read_text())] == []
