"""A connection to PostgreSQL, and transactions on it."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from psycopg import BaseConnection, Cursor, Error
from psycopg.errors import Diagnostic, LockNotAvailable
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from keyturn.core.errors import Unavailable
from keyturn.core.fence import Record
from keyturn.storage.group_commit import CONFLICT_TRIES, Conflict, Taken
from keyturn.storage.postgres_server import (
    Connection,
    Database,
    connect,
    unavailable,
    unavailable_on_failure,
)
from keyturn.storage.store import Result, Shape, Transaction

_WITHIN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)


class PostgresTransaction:
    """Runs named statements on one connection."""

    def __init__(
        self, connection: Connection, named: dict[str, str], begun_with: list[TupleRow]
    ) -> None:
        self._connection = connection
        self._statements = named
        self.begun_with = begun_with
        """The rows of the last statement that opened it."""
        self.changes = 0
        """Rows that were changed, and statements that failed: both leave something to undo."""

    def execute(self, query: str, /, **values: Any) -> int:
        return self._run(query, values).rowcount

    def fence(self, record: Record) -> None:
        """Nothing: an installation on PostgreSQL has no fence."""

    def one(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> Shape | None:
        row = self._run(query, values).fetchone()
        return None if row is None else shape(*row)

    def all(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> list[Shape]:
        return [shape(*row) for row in self._run(query, values).fetchall()]

    def _run(self, query: str, values: dict[str, Any]) -> Cursor[TupleRow]:
        kept = {name: _kept(value) for name, value in values.items()}
        try:
            with unavailable_on_failure:
                cursor = self._connection.execute(self._statements[query], kept)
        except Exception:
            self.changes += 1
            raise
        if not (cursor.statusmessage or "").startswith("SELECT"):
            self.changes += cursor.rowcount
        return cursor


class Session:
    """A connection that is made when it is needed, and again where it was lost.

    One thread uses it; any may call `interrupt`.
    """

    def __init__(self, database: Database, named: dict[str, str]) -> None:
        self._database = database
        self._statements = named
        self._connection: Connection | None = None
        self._warning: str | None = None
        self._began: float | None = None

    def begin(self, statement: str) -> PostgresTransaction:
        """Open a transaction, on a new connection where the last one is gone.

        Raises:
            Taken: the statement has waited for a lock, for as long as it shall.
            Unavailable
        """
        try:
            if self._connection is not None:
                try:
                    return self._begin(self._connection, statement)
                except Error:
                    if not self._connection.closed:
                        raise
            self._connection = connect(self._database)
            self._connection.add_notice_handler(self._note)
            return self._begin(self._connection, statement)
        except Error as error:
            self.rollback()
            if isinstance(error, LockNotAvailable):
                raise Taken("another process has it to itself") from None
            raise unavailable(error) from None

    def run(self, statement: str) -> None:
        """Run a statement that steers the transaction.

        Raises:
            Unavailable
        """
        try:
            self._open().execute(statement)
        except Error as error:
            raise unavailable(error) from None

    def commit(self) -> None:
        """End the transaction, and be sure of it.

        Raises:
            Unavailable: it was not kept, or nobody knows whether it was.
        """
        self._warning = None
        try:
            done = self._open().execute("COMMIT").statusmessage
        except Error as error:
            raise unavailable(error) from None
        finally:
            self._began = None
        if done != "COMMIT":
            raise Unavailable(f"commit: {done}")
        if self._warning is not None:
            # It stopped waiting for a standby: here it is kept, elsewhere perhaps not.
            raise Unavailable(f"commit: {self._warning}")

    def rollback(self) -> None:
        """Undo the transaction where there is one. Never raises."""
        connection = self._connection
        try:
            if connection and connection.info.transaction_status in _WITHIN:
                connection.execute("ROLLBACK")
        except Error:
            self.close()
        self._began = None

    def interrupt(self, seconds: float) -> None:
        """Hang up where a transaction has gone on for longer than this, with nobody to end it."""
        connection, began = self._connection, self._began
        if connection is not None and began is not None and time.monotonic() - began > seconds:
            hang_up(connection)

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._connection is not None:
            with contextlib.suppress(Error):
                self._connection.close()

    def _begin(self, connection: Connection, statement: str) -> PostgresTransaction:
        self._began = time.monotonic()
        *_, last = connection.execute(statement).results()
        rows = last.fetchall() if last.description else []
        return PostgresTransaction(connection, self._statements, rows)

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("nothing has begun")
        return self._connection

    def _note(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary


def hang_up(connection: BaseConnection[Any]) -> None:
    """End whatever waits for the server, which may be silent and never end it itself."""
    with contextlib.suppress(Error, OSError):
        ours = socket.socket(fileno=connection.fileno())
        try:
            ours.shutdown(socket.SHUT_RDWR)
        finally:
            ours.detach()


def in_snapshot(
    session: Session, milliseconds: int, work: Callable[[Transaction], Result]
) -> Result:
    """Read in one snapshot that ends with the call.

    Raises:
        Unavailable
    """
    begin = f"{SNAPSHOT};{patience(milliseconds)}"
    for tries_left in reversed(range(CONFLICT_TRIES)):
        try:
            return work(session.begin(begin))
        except Conflict:
            if not tries_left:
                raise
        finally:
            session.rollback()
    raise AssertionError("unreachable")


SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE"
"""A standby refuses READ WRITE: it may not know yet of what was acknowledged."""


def patience(milliseconds: int) -> str:
    """The statements that bound how long the transaction may take for one step."""
    return (
        f"SET LOCAL statement_timeout = {milliseconds};"
        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )


def _kept(value: object) -> object:
    """A value as the database keeps it: truth is a number, and no text has a NUL in it."""
    if isinstance(value, bool):
        return int(value)
    # What is no character either finds nothing, as NUL does on SQLite.
    return value.replace("\0", "\ufffe") if isinstance(value, str) else value
