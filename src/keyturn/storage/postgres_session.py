"""A connection to PostgreSQL, and transactions on it."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from psycopg import BaseConnection, ClientCursor, Error, OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import Diagnostic, LockNotAvailable, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

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

Row = tuple[Any, ...]

FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)
_WITHIN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)


class PostgresTransaction:
    """Runs named statements on one connection; what can wait goes with the next message."""

    def __init__(
        self, connection: Connection, named: dict[str, str], begun_with: list[Row]
    ) -> None:
        self._connection = connection
        self._composer = ClientCursor(connection)
        self._statements = named
        self._later: list[str] = []
        self.begun_with = begun_with
        """The rows of the last statement that opened it."""
        self.changes = 0
        """Rows that were changed, or may have been: they leave something to undo."""

    def execute(self, query: str, /, **values: Any) -> int:
        self.changes += 1
        changed = self.run(self._composed(query, values)).command_tuples or 0
        self.changes += changed - 1
        return changed

    def execute_later(self, query: str, /, **values: Any) -> None:
        self.changes += 1
        self._later.append(self._composed(query, values))

    def fence(self, record: Record) -> None:
        """Nothing: an installation on PostgreSQL has no fence."""

    def one(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> Shape | None:
        found = self.all(shape, query, **values)
        return found[0] if found else None

    def all(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> list[Shape]:
        return [shape(*row) for row in rows_of(self.run(self._composed(query, values)))]

    def run(self, statement: str) -> PGresult:
        """Run what was put off until now, and then this; the answer to the last of it.

        Raises:
            Unavailable
        """
        text = ";".join([*self._later, statement])
        self._later.clear()
        with unavailable_on_failure:
            return _ask(self._connection, text)

    def flush(self) -> None:
        """Run what was put off until now.

        Raises:
            Unavailable
        """
        if self._later:
            self.run(self._later.pop())

    def forget(self) -> None:
        """Leave out what was put off and not run yet."""
        self._later.clear()

    def _composed(self, query: str, values: dict[str, Any]) -> str:
        kept = {name: _kept(value) for name, value in values.items()}
        return self._composer.mogrify(self._statements[query], kept)


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

    def commit(self) -> None:
        """End the transaction, and be sure of it.

        Raises:
            Unavailable: it was not kept, or nobody knows whether it was.
        """
        self._warning = None
        try:
            done = _ask(self._open(), "COMMIT").command_status
        except Error as error:
            raise unavailable(error) from None
        finally:
            self._began = None
        if done != b"COMMIT":
            raise Unavailable(f"commit: {done!r}")
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
        rows = rows_of(_ask(connection, statement))
        return PostgresTransaction(connection, self._statements, rows)

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("nothing has begun")
        return self._connection

    def _note(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary


def _ask(connection: Connection, text: str) -> PGresult:
    """The answer to the last of the statements, which are one message.

    psycopg's cursors wait for the connection step by step, which costs more than the statement.

    Raises:
        psycopg.Error: one has failed, and those after it were not run.
    """
    result = connection.pgconn.exec_(text.encode())
    if connection.pgconn.status != ConnStatus.OK:
        raise OperationalError("the connection is lost")
    if result.status in FAILED:
        raise error_from_result(result)
    return result


def rows_of(result: PGresult) -> list[Row]:
    """The rows of a statement that selects, their values as Python's."""
    transformer = Transformer()
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


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
