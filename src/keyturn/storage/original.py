"""A store on SQLite that is left for good, and that nobody else has open meanwhile."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from keyturn.storage.queries import load
from keyturn.storage.sqlite_backup import check_connected
from keyturn.storage.sqlite_file import Database
from keyturn.storage.store import UnusableDatabase

CREDENTIALS = (
    "server_keys", "developers", "agents", "tokens", "sessions", "audit", "retired", "receipts",
    "charges",
)  # fmt: skip
LIMITS = ("attempts", "refusals", "tallies", "outbox")
"""Each after those that it refers to. Not `installation`, which is not the same on both sides."""

_TYPES = {"INTEGER": "int8", "TEXT": "text", "BLOB": "bytea"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as both databases have it; the columns with their types on PostgreSQL."""

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    source: str
    """Where SQLite has it: attempts have a number there that is no column."""


@dataclass(slots=True)
class Original:
    """A store on SQLite that nobody else has open, nor can open."""

    credentials: apsw.Connection
    limits: apsw.Connection

    @property
    def id(self) -> str:
        """By which the installation is known."""
        return str(self.credentials.execute("SELECT id FROM installation").get)

    @property
    def move(self) -> str | None:
        """The move that it was left by."""
        found: str | None = self.credentials.execute("SELECT move FROM installation").get
        return found

    @property
    def moved_to(self) -> str:
        """Where it was moved, for people."""
        return str(self.credentials.execute("SELECT moved_to FROM installation").get)

    def tables(self) -> list[tuple[apsw.Connection, Table]]:
        """Every table with its database."""
        both = ((self.credentials, CREDENTIALS), (self.limits, LIMITS))
        return [(database, describe(database, name)) for database, names in both for name in names]

    def leave(self, move: str, moved_to: str) -> None:
        """Let nobody use it again.

        Raises:
            UnusableDatabase: nobody knows whether it is so.
        """
        try:
            values = {"move": move, "moved_to": moved_to}
            self.credentials.execute(load("queries.sql")["leave"], values)
            self.credentials.execute("COMMIT")
        except apsw.Error as error:
            raise UnusableDatabase(
                f"The move could not be noted in the original: {error}"
            ) from error


@contextlib.contextmanager
def held(credentials: Database, limits: Database) -> Iterator[Original]:
    """The store, which nobody else has open nor can open until the block ends.

    Raises:
        UnusableDatabase: somebody has it open, or it is damaged.
    """
    with _alone(credentials) as first, _alone(limits) as second:
        yield Original(first, second)


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[apsw.Connection]:
    try:
        connection = apsw.Connection(str(database.path), flags=apsw.SQLITE_OPEN_READWRITE)
        with contextlib.closing(connection):
            _lock(connection)
            check_connected(connection, database)
            yield connection
    except apsw.BusyError:
        raise UnusableDatabase(
            f"{database.path} is in use: stop the server, and whatever else has it open."
        ) from None
    except apsw.Error as error:
        raise UnusableDatabase(f"{database.path} can't be read: {error}.") from error


def _lock(connection: apsw.Connection) -> None:
    # Before anything is read: then a database in WAL mode is not shared, see
    # https://sqlite.org/wal.html#use_of_wal_without_shared_memory.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("BEGIN IMMEDIATE")


def describe(database: apsw.Connection, name: str) -> Table:
    """A table by its name."""
    found = list(database.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)))
    columns = {column: _TYPES[declared] for column, declared, _ in found}
    key = tuple(column for column, _, pk in sorted(found, key=lambda each: each[2]) if pk)
    if key:
        return Table(name, columns, key, name)
    numbered = f"(SELECT rowid AS seq, * FROM {name})"  # noqa: S608
    return Table(name, {"seq": "int8", **columns}, ("seq",), numbered)
