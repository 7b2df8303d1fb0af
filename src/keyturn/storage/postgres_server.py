"""Reaching a PostgreSQL database: the settings of a connection, the migrations, the errors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from keyturn.core.errors import Unavailable
from keyturn.storage import migrations
from keyturn.storage.group_commit import Conflict
from keyturn.storage.queries import load
from keyturn.storage.store import UnusableDatabase

MIGRATION_TRIES = 5
SLOTS = 16_384
"""Rows that changes lock for their names: few enough to make, too many to meet by chance."""

Connection = psycopg.Connection[TupleRow]

# What the URL does not say. A server that is gone is noticed after seconds, not minutes.
_DEFAULTS = {
    "application_name": "keyturn",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# Each server of the URL is asked in turn for the one that takes writes: reads go there too.
_ALWAYS = {"target_session_attrs": "read-write", "client_encoding": "UTF8"}
# The store can't answer; any other error of the database's is a defect of ours.
_OUT_OF_REACH = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected)
_MADE_AT_ONCE = (*_CONFLICTS, errors.UniqueViolation, errors.DuplicateTable)
_VALUE = re.compile(r":(\w+)")
_TURNS = f"INSERT INTO keyturn_turns SELECT generate_series(0, {SLOTS - 1})"
_SCHEMA = f"""
CREATE TABLE keyturn_schema (name TEXT PRIMARY KEY, version BIGINT NOT NULL);
CREATE TABLE keyturn_turns (slot INTEGER PRIMARY KEY);
{_TURNS};
"""
# As hexadecimal digits, which need no backslash and no escape.
_MAC = "decode({mac}, 'hex')"
_FOR_EACH = """
SELECT sought.place, found.*
FROM unnest(CAST('{{{macs}}}' AS TEXT[])) WITH ORDINALITY AS sought (mac, place)
CROSS JOIN LATERAL ({statement}) AS found
"""
# To plan it costs half of what the other does.
_FOR_ONE = "SELECT 1, found.* FROM ({statement}) AS found"
_ROW = "INSERT INTO keyturn_schema VALUES (%(name)s, 0) ON CONFLICT (name) DO NOTHING"
_NOW = "UPDATE keyturn_schema SET version = %(version)s WHERE name = %(name)s"


@dataclass(frozen=True, slots=True)
class Database:
    """One of our two databases, which share a PostgreSQL database: its migrations, statements."""

    url: str = field(repr=False)
    name: str
    migrations: str
    queries: str


def credentials_database(url: str) -> Database:
    """The agents, tokens and trail."""
    return Database(url, "credentials", "postgres", "queries.sql")


def limits_database(url: str) -> Database:
    """Attempts, and refusals on their way to the trail."""
    return Database(url, "limits", "postgres_limits", "limits.sql")


def statements(database: Database) -> dict[str, str]:
    """The named statements with the driver's marks for values in the place of ours."""
    named = {**load(database.queries), **load("postgres.sql")}
    return {name: _VALUE.sub(r"%(\1)s", text.replace("%", "%%")) for name, text in named.items()}


def statements_by_mac(database: Database) -> dict[str, str]:
    """The statements that take a `mac` alone, as they are named, without a value."""
    named = {**load(database.queries), **load("postgres.sql")}
    return {name: text for name, text in named.items() if set(_VALUE.findall(text)) == {"mac"}}


def for_each(statement: str, macs: Sequence[bytes]) -> str:
    """One of `statements_by_mac` for all of these, its values within it.

    Each row says first which place of them is its own.
    """
    if len(macs) == 1:
        mac = _MAC.format(mac=f"'{macs[0].hex()}'")
        return _FOR_ONE.format(statement=statement.replace(":mac", mac))
    each = statement.replace(":mac", _MAC.format(mac="sought.mac"))
    return _FOR_EACH.format(macs=",".join([mac.hex() for mac in macs]), statement=each)


def connect(database: Database) -> Connection:
    """A connection that begins its transactions itself.

    Its values are part of the statement, which is one message then, and prepares nothing: a
    pooler may give each transaction another session.

    Raises:
        psycopg.Error: it can't be made.
    """
    return psycopg.connect(**_parameters(database), cursor_factory=psycopg.ClientCursor)


async def connect_async(database: Database) -> psycopg.AsyncConnection[TupleRow]:
    """The same for the event loop.

    Raises:
        psycopg.Error: it can't be made.
    """
    return await psycopg.AsyncConnection.connect(**_parameters(database))


def _parameters(database: Database) -> dict[str, Any]:
    given = {**_DEFAULTS, **conninfo_to_dict(database.url), **_ALWAYS}
    return {**given, "autocommit": True, "prepare_threshold": None}


def unavailable(error: psycopg.Error) -> Unavailable:
    """What the error is to those who wait; `Conflict` where it may go well another time."""
    return (Conflict if isinstance(error, _CONFLICTS) else Unavailable)(_told(error))


class _UnavailableOnFailure:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, _OUT_OF_REACH):
            raise unavailable(error) from None


unavailable_on_failure = _UnavailableOnFailure()
"""A context that turns PostgreSQL's failures into `Unavailable`; defects pass as they are."""


def _told(error: psycopg.Error) -> str:
    # The whole of it would show values of the statement.
    return f"{type(error).__name__}: {error.diag.message_primary or str(error).strip()}"


def check_url(url: str) -> None:
    """Refuse a URL that libpq can't take apart, or takes apart in the midst of a password.

    What libpq says of such a URL would show a part of it.

    Raises:
        UnusableDatabase
    """
    try:
        host = conninfo_to_dict(url).get("host") or ""
    except psycopg.Error:
        host = None
    if host is None or "@" in str(host):
        raise UnusableDatabase(
            "The database's URL is none that libpq understands: in a password write @, : and / as "
            "%40, %3A and %2F."
        )


def prepare(database: Database) -> int:
    """Make the tables where there are none, bring the schema up to date; its version.

    Raises:
        UnusableDatabase: as `check_url`, the server can't be reached, refuses, has another
            program's tables, or a schema that is newer than this program.
    """
    check_url(database.url)
    try:
        with connect(database) as connection:
            return _prepare(connection, database)
    except psycopg.Error as error:
        raise UnusableDatabase(f"The PostgreSQL database can't be used: {_told(error)}.") from None


def _prepare(connection: Connection, database: Database) -> int:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnusableDatabase(f"The PostgreSQL database has the encoding {encoding}, not UTF8.")
    for tries_left in reversed(range(MIGRATION_TRIES)):
        try:
            with connection.transaction():
                return _migrate(connection, database)
        except _MADE_AT_ONCE:
            # Another process makes the same tables, or another program has made them long ago.
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def _migrate(connection: Connection, database: Database) -> int:
    scripts, named = migrations.scripts(database.migrations), statements(database)
    if connection.execute("SELECT to_regclass('keyturn_schema')").fetchone() == (None,):
        connection.execute(_SCHEMA)
    connection.execute(_ROW, {"name": database.name})
    row = connection.execute(named["hold_schema"], {"name": database.name}).fetchone()
    current = int(row[0]) if row else 0
    if current > len(scripts):
        raise UnusableDatabase(
            f"The PostgreSQL database has schema {current} and this Keyturn knows {len(scripts)}: "
            "install the version that wrote it, or a later one."
        )
    for script in scripts[current:]:
        connection.execute(script)
    connection.execute(_NOW, {"name": database.name, "version": len(scripts)})
    return len(scripts)
