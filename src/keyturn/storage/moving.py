"""A copy of a store on SQLite, on PostgreSQL, and the proof that it is one.

Every table is read once to be copied and once more from PostgreSQL after the commit. Both times
its rows, in the order of their keys, make a SHA-256: the two must be the same.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw
import psycopg
from psycopg import sql

from keyturn.storage import postgres_server
from keyturn.storage.original import Original, Table
from keyturn.storage.postgres_server import Connection
from keyturn.storage.store import UnusableDatabase

_BEGIN = """
    BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
    SET LOCAL synchronous_commit = on;
    SET LOCAL lock_timeout = '10s';
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0
"""
_INSTALLATION = "SELECT id, move FROM installation FOR UPDATE"
_USED = "SELECT EXISTS (SELECT 1 FROM server_keys)"
"""Nobody serves who has not registered one: see `register_server_keys`."""
_ARRIVING = "UPDATE installation SET id = %s, fenced = 0, move = %s, moved_to = NULL"
_FILLED = "UPDATE installation SET move = %s"


def filled(move: str) -> str:
    """The mark of a copy that has every row."""
    return f"{move} filled"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a table."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    """Whose tables are there, the move that they were copied by, and whether they are in use."""

    installation: str
    move: str | None
    used: bool


class Copy:
    """The store's place on PostgreSQL, which is empty or has an earlier try of the same move.

    All methods raise `UnusableDatabase` where it can't be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        postgres_server.check_url(url)
        with _told():
            self._connection = postgres_server.connect(postgres_server.credentials_database(url))

    def close(self) -> None:
        self._connection.close()

    @property
    def place(self) -> str:
        """Where it is, for people: without users and passwords."""
        info = self._connection.info
        return f"database {info.dbname} on {info.host}, port {info.port}"

    def state(self) -> State | None:
        """What is there; None where nothing is."""
        with _told(), _transaction(self._connection):
            return self._state()

    def prepare(self, installation: str, move: str) -> None:
        """Make the tables where there are none. From now until `arrive` nobody serves them.

        Raises:
            UnusableDatabase: something else is there; that stays as it is.
        """
        with _told(), _transaction(self._connection):
            self._refuse_occupied(installation)
        for describe_database in (
            postgres_server.credentials_database,
            postgres_server.limits_database,
        ):
            postgres_server.prepare(describe_database(self._url))
        with _told(), _transaction(self._connection):
            self._refuse_occupied(installation)
            self._connection.execute(_ARRIVING, (installation, move))

    def fill(
        self, original: Original, move: str, report: Callable[[str, Contents], None]
    ) -> dict[str, Contents]:
        """Copy every table, in one transaction; what was read of each, which is reported too.

        The mark is changed in the same: a server that lost the copy lost that too.

        Raises:
            UnusableDatabase: it failed, and left nothing.
        """
        tables = original.tables()
        with _told(), _transaction(self._connection):
            for _, table in reversed(tables):
                self._connection.execute(sql.SQL("DELETE FROM {}").format(_name(table.name)))
            contents = {}
            for database, table in tables:
                contents[table.name] = _copy(database, table, self._connection)
                report(table.name, contents[table.name])
            self._connection.execute(_FILLED, (filled(move),))
        return contents

    def contents(self, original: Original) -> Iterator[tuple[str, Contents]]:
        """What PostgreSQL has in each table."""
        with _told():
            for _, table in original.tables():
                with (
                    _transaction(self._connection),
                    self._connection.cursor().copy(_selected(table)) as copy,
                ):
                    copy.set_types(list(table.columns.values()))
                    contents = _summed(copy.rows())
                yield table.name, contents

    def _refuse_occupied(self, installation: str) -> None:
        there = self._state()
        if there and (there.used if there.move is None else there.installation != installation):
            raise UnusableDatabase(f"There is a Keyturn already: {self.place}. It stays as it is.")

    def _state(self) -> State | None:
        known = self._connection.execute("SELECT to_regclass('installation')").fetchone()
        if known == (None,):
            return None
        row = self._connection.execute(_INSTALLATION).fetchone()
        # Only now: what was registered while this waited must be seen.
        used = self._connection.execute(_USED).fetchone()
        return State(row[0], row[1], used == (True,)) if row else None


def _copy(source: apsw.Connection, table: Table, target: Connection) -> Contents:
    def sent(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            copy.write_row(row)
            yield row

    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table.name), _names(table.columns))
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    rows = source.execute(f"SELECT {columns} FROM {table.source} ORDER BY {key}")  # noqa: S608
    with target.cursor().copy(statement) as copy:
        contents = _summed(sent(map(_kept, rows)))
    if table.key == ("seq",):
        _go_on(source, table, target)
    return contents


def _go_on(source: apsw.Connection, table: Table, target: Connection) -> None:
    """Let the numbers go on behind the last that was ever given."""
    last = source.execute(
        f"SELECT max(ifnull((SELECT max(seq) FROM {table.source}), 0),"  # noqa: S608
        " ifnull((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))",
        (table.name,),
    ).get
    target.execute(
        "SELECT setval(pg_get_serial_sequence(%s, 'seq'), greatest(%s, 1), %s)",
        (table.name, last, last > 0),
    )


def _selected(table: Table) -> sql.Composed:
    return sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        _names(table.columns), _name(table.name), _names(table.key)
    )


def _summed(rows: Iterable[tuple[Any, ...]]) -> Contents:
    count, digest = 0, hashlib.sha256()
    for row in rows:
        count += 1
        # Python's text of numbers, texts, bytes and None is of one meaning only.
        digest.update(repr(row).encode())
    return Contents(count, digest.hexdigest())


def _kept(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as the store on PostgreSQL keeps it: no text there has a NUL in it."""
    return tuple(each.replace("\0", "\ufffe") if isinstance(each, str) else each for each in row)


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


@contextlib.contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.execute(_BEGIN)
    try:
        yield
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        text = " ".join(str(postgres_server.unavailable(error)).split())
        raise UnusableDatabase(f"PostgreSQL can't be used: {text}.") from None
    except apsw.Error as error:
        raise UnusableDatabase(f"The original can't be read: {error}.") from error
