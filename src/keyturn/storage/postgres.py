"""The store on PostgreSQL, through psycopg.

A process has one connection for reads on the event loop, one for each scanning thread and one for
the writer. Writers take turns over all processes, as on SQLite: each locks one row before it
looks at anything, so a change sees all that was done before it, and nothing is done meanwhile.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from psycopg import Cursor, Error
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from keyturn.core.errors import Unavailable
from keyturn.core.fence import Record
from keyturn.storage.group_commit import CONFLICT_TRIES, Conflict, Writer
from keyturn.storage.postgres_server import (
    Connection,
    Database,
    connect,
    statements,
    unavailable,
    unavailable_on_failure,
)
from keyturn.storage.store import Result, Shape, Transaction

SCANNING_THREADS = 2
READ_MILLISECONDS = 2000
SCAN_MILLISECONDS = 30_000
WRITE_MILLISECONDS = 5000
TURN_MILLISECONDS = 3000
"""How long a writer waits for those of other processes."""
ANSWER_SECONDS = 15.0
"""How long a change waits for all that is before it, and for its commit."""


class PostgresTransaction:
    """Runs named statements on one connection."""

    def __init__(self, connection: Connection, named: dict[str, str]) -> None:
        self._connection = connection
        self._statements = named
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
    """A connection that is made when it is needed, and again where it was lost."""

    def __init__(self, database: Database, named: dict[str, str]) -> None:
        self._database = database
        self._statements = named
        self._connection: Connection | None = None
        self._warning: str | None = None

    def begin(self, statement: str) -> PostgresTransaction:
        """Open a transaction, on a new connection where the last one is gone.

        Raises:
            Unavailable
        """
        try:
            if self._connection is not None:
                try:
                    self._connection.execute(statement)
                    return PostgresTransaction(self._connection, self._statements)
                except Error:
                    if not self._connection.closed:
                        raise
            self._connection = connect(self._database)
            self._connection.add_notice_handler(self._note)
            self._connection.execute(statement)
        except Error as error:
            self.rollback()
            raise unavailable(error) from None
        return PostgresTransaction(self._connection, self._statements)

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
        if done != "COMMIT":
            raise Unavailable(f"commit: {done}")
        if self._warning is not None:
            # It stopped waiting for a standby: here it is kept, elsewhere perhaps not.
            raise Unavailable(f"commit: {self._warning}")

    def rollback(self) -> None:
        """Undo the transaction where there is one. Never raises."""
        if self._connection is None or self._connection.closed:
            return
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            try:
                self._connection.execute("ROLLBACK")
            except Error:
                self._connection.close()

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._connection is not None:
            with contextlib.suppress(Error):
                self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("nothing has begun")
        return self._connection

    def _note(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary


class PostgresStore:
    """The promises of `Store`, on a database that any number of processes share.

    No commit is lost as to a failing disk of ours: where nobody knows, it is `Unavailable`.
    """

    def __init__(self, database: Database, on_lost_commit: Callable[[], None]) -> None:
        self._database = database
        self._statements = statements(database)
        self._reader = Session(database, self._statements)
        self._threads = ThreadPoolExecutor(SCANNING_THREADS, f"scan-{database.name}")
        self._local = threading.local()
        self._scanners: list[Session] = []
        self._version = self._schema_version()
        self._writer = Writer(
            f"write-{database.name}",
            WriterConnection(Session(database, self._statements), database.name),
            on_lost_commit,
        )

    def look_up(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> Shape | None:
        return self.read(lambda tx: tx.one(shape, query, **values))

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        return _in_snapshot(self._reader, READ_MILLISECONDS, work)

    async def scan(self, work: Callable[[Transaction], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._scan, work)

    async def write(self, work: Callable[[Transaction], Result]) -> Result:
        # The server's own timeouts don't end a commit that waits for a standby.
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                result: Result = await self._writer.submit(work)
        except TimeoutError:
            raise Unavailable("the database does not answer") from None
        return result

    async def scrub(self) -> None:
        """Nothing: what was deleted is gone from the server's files when it has vacuumed them."""

    async def finish_scrub(self) -> None:
        """As `scrub`."""

    def check(self) -> None:
        version = self._schema_version()
        if version != self._version:
            raise Unavailable(f"the schema is {version} and was {self._version}")

    def close(self) -> None:
        """Finish what waits and close every connection."""
        self._writer.close()
        self._threads.shutdown()
        for session in (self._reader, *self._scanners):
            session.close()

    def _schema_version(self) -> int | None:
        return self.read(lambda tx: tx.one(int, "schema_version", name=self._database.name))

    def _scan(self, work: Callable[[Transaction], Result]) -> Result:
        if not hasattr(self._local, "session"):
            self._local.session = Session(self._database, self._statements)
            self._scanners.append(self._local.session)
        return _in_snapshot(self._local.session, SCAN_MILLISECONDS, work)


class WriterConnection:
    """The writer's connection."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._transaction: PostgresTransaction | None = None

    def begin(self) -> Transaction:
        # Whoever reads before it has the turn may read what is old by then; hence the isolation
        # level that lets each statement see what is there now.
        self._transaction = self._session.begin(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;"
            "SET LOCAL synchronous_commit = on;"
            f"SET LOCAL lock_timeout = {TURN_MILLISECONDS};" + _patience(WRITE_MILLISECONDS)
        )
        try:
            turn = self._transaction.one(int, "take_turn", name=self._name)
        except Error as error:
            raise unavailable(error) from None
        if turn is None:
            raise Unavailable("the database is not ours any more")
        return self._transaction

    def changes(self) -> int:
        return self._transaction.changes if self._transaction else 0

    def savepoint(self) -> None:
        self._session.run("SAVEPOINT change")

    def release(self) -> None:
        self._session.run("RELEASE SAVEPOINT change")

    def rollback_to_savepoint(self) -> None:
        self._session.run("ROLLBACK TO SAVEPOINT change; RELEASE SAVEPOINT change")

    def commit(self) -> None:
        self._session.commit()

    def rollback(self) -> None:
        self._session.rollback()

    def after_commit(self) -> None:
        """Nothing: the server keeps its own house."""

    def close(self) -> None:
        self._session.close()


def _in_snapshot(
    session: Session, milliseconds: int, work: Callable[[Transaction], Result]
) -> Result:
    # A standby refuses READ WRITE: it may not know yet of what was acknowledged.
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE;" + _patience(milliseconds)
    for tries_left in reversed(range(CONFLICT_TRIES)):
        try:
            return work(session.begin(begin))
        except Conflict:
            if not tries_left:
                raise
        finally:
            session.rollback()
    raise AssertionError("unreachable")


def _patience(milliseconds: int) -> str:
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
