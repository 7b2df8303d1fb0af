"""The store on SQLite, through apsw.

A process has one connection for reads on the event loop, one for each scanning thread, one for
the writer and one for checkpoints. WAL mode lets them read while another writes.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apsw

from keyturn.core.errors import Unavailable
from keyturn.core.fence import DamagedFence, Record
from keyturn.storage.checkpoints import Checkpoints
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.group_commit import CommitFailed, Writer
from keyturn.storage.queries import load
from keyturn.storage.sqlite_file import (
    OUT_OF_REACH,
    WRITE_BUSY_MILLISECONDS,
    Database,
    connect,
    fsync_failed,
    unavailable_on_failure,
)
from keyturn.storage.store import Result, Shape, Transaction

SCANNING_THREADS = 2
BUSY_PAUSE = 0.0005
SCRUB_TRIES = 25
SCRUB_PAUSE = 0.02
CHECKPOINT_PAGES = 2000
WAL_PAGES_CAP = 16_000


class SqliteTransaction:
    """Runs named statements on one connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        statements: dict[str, str],
        fenced: list[Record] | None = None,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._fenced = fenced

    def fence(self, record: Record) -> None:
        if self._fenced is not None:
            self._fenced.append(record)

    def execute(self, query: str, /, **values: Any) -> int:
        with unavailable_on_failure:
            self._connection.execute(self._statements[query], values)
        return self._connection.changes()

    def execute_later(self, query: str, /, **values: Any) -> None:
        self.execute(query, **values)

    def one(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> Shape | None:
        rows = self.all(shape, query, **values)
        return rows[0] if rows else None

    def all(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> list[Shape]:
        with unavailable_on_failure:
            rows = self._connection.execute(self._statements[query], values).fetchall()
        return [shape(*row) for row in rows]


class SqliteStore:
    """The promises of `Store`, on one file that several processes may share.

    `on_lost_commit` is called from a thread when the disk has failed within a commit: the
    process must then end, because a second fsync may report what the first one lost as kept.
    """

    def __init__(
        self,
        database: Database,
        on_lost_commit: Callable[[], None],
        fence: FenceFile | None = None,
    ) -> None:
        self._database = database
        self._statements = load(database.queries)
        self._reader = connect(database)
        self._execute = self._reader.execute
        self._version = self._reader.pragma("user_version")
        self._opened = database.path.stat()
        self._scrub_owed = False
        self._on_lost_commit = on_lost_commit
        self._transaction = SqliteTransaction(self._reader, self._statements)
        self._threads = ThreadPoolExecutor(SCANNING_THREADS, f"scan-{database.path.stem}")
        self._local = threading.local()
        self._checkpoints = Checkpoints(database, on_lost_commit)
        self._writer = Writer(
            f"write-{database.path.stem}",
            WriterConnection(database, self._statements, self._checkpoints, fence),
            on_lost_commit,
        )

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        if len(macs) != 1:
            return await self.read(lambda tx: _each(tx, shape, query, macs))
        try:
            row = self._execute(self._statements[query], {"mac": macs[0]}).fetchone()
        except OUT_OF_REACH as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return [] if row is None else [shape(*row)]

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        return _in_snapshot(self._reader, lambda: work(self._transaction))

    async def scan(self, work: Callable[[Transaction], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._scan, work)

    async def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Result:
        result: Result = await self._writer.submit(work, alone)
        return result

    async def scrub(self) -> None:
        self._scrub_owed = True
        await self.finish_scrub()

    async def finish_scrub(self) -> None:
        if self._scrub_owed:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._empty_wal)

    async def check(self) -> None:
        with unavailable_on_failure:
            version = self._reader.pragma("user_version")
        if version != self._version or not self._is_in_place():
            raise Unavailable(f"{self._database.path} is not the file that was opened")

    def close(self) -> None:
        """Finish what waits and close every connection."""
        self._writer.close()
        self._checkpoints.close()
        self._threads.shutdown()
        self._reader.close()

    def _scan(self, work: Callable[[Transaction], Result]) -> Result:
        connection = self._own_connection()
        return _in_snapshot(
            connection, lambda: work(SqliteTransaction(connection, self._statements))
        )

    def _empty_wal(self) -> None:
        # What is deleted from here on owes a scrub of its own.
        self._scrub_owed = False
        for _ in range(SCRUB_TRIES):
            try:
                # With a connection that waits for no reader, for the reason of `_restart_wal`.
                with contextlib.closing(connect(self._database, 0)) as connection:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                time.sleep(SCRUB_PAUSE)
            except apsw.Error as error:
                if fsync_failed(error):
                    self._on_lost_commit()
                break
            else:
                return
        self._scrub_owed = True

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self._opened, self._database.path.stat())
        except OSError:
            return False

    def _own_connection(self) -> apsw.Connection:
        if not hasattr(self._local, "connection"):
            with unavailable_on_failure:
                self._local.connection = connect(self._database)
        connection: apsw.Connection = self._local.connection
        return connection


class WriterConnection:
    """The writer's connection; checkpoints are taken between its batches, not within them."""

    def __init__(
        self,
        database: Database,
        statements: dict[str, str],
        checkpoints: Checkpoints,
        fence: FenceFile | None = None,
    ) -> None:
        self._connection = connect(database)
        self._connection.set_busy_handler(_wait_for_turn)
        self._connection.set_wal_hook(self._note_wal_pages)
        self._fence = fence
        self._fenced: list[Record] = []
        self._fenced_before = 0
        self._transaction = SqliteTransaction(
            self._connection, statements, self._fenced if fence else None
        )
        self._checkpoints = checkpoints
        self._wal_pages = 0

    def begin(
        self, _alone: Collection[str], _waits_for: Collection[str], /
    ) -> tuple[Transaction, Collection[str]]:
        # Nobody else writes until the transaction ends, whatever they would change.
        self._fenced.clear()
        self._execute("BEGIN IMMEDIATE")
        return self._transaction, ()

    def changes(self) -> int:
        return self._connection.total_changes()

    def flush(self) -> None:
        """Nothing: no statement is put off."""

    def savepoint(self) -> None:
        self._fenced_before = len(self._fenced)
        self._execute("SAVEPOINT change")

    def release(self) -> None:
        self._execute("RELEASE change")

    def rollback_to_savepoint(self) -> None:
        del self._fenced[self._fenced_before :]
        self._execute("ROLLBACK TO change")
        self._execute("RELEASE change")

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            failure = CommitFailed if fsync_failed(error) else Unavailable
            raise failure(f"commit: {error}") from error
        if self._fence and self._fenced:
            self._mark(self._fence)

    def rollback(self) -> None:
        # SQLite has rolled back by itself after some errors.
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def after_commit(self) -> None:
        if self._wal_pages > WAL_PAGES_CAP:
            self._restart_wal()
        elif self._wal_pages > CHECKPOINT_PAGES:
            self._checkpoints.ask()

    def close(self) -> None:
        self._connection.close()

    def _mark(self, fence: FenceFile) -> None:
        """Not before the commit: a mark of what a crash undoes would lock its agent out."""
        try:
            fence.append(self._fenced)
        except (OSError, DamagedFence) as error:
            # What is committed is not to be answered; the next start marks it.
            raise CommitFailed(f"{fence.path}: {error}") from error

    def _restart_wal(self) -> None:
        # It waits for no reader: while it waited, it would keep every writer waiting.
        self._connection.set_busy_handler(None)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.Error as error:
            # The WAL keeps everything until a later one succeeds.
            if fsync_failed(error):
                raise CommitFailed(f"checkpoint: {error}") from error
        finally:
            self._connection.set_busy_handler(_wait_for_turn)

    def _execute(self, statement: str) -> None:
        with unavailable_on_failure:
            self._connection.execute(statement)

    def _note_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def _wait_for_turn(tries: int) -> bool:
    """Wait for another process's commit; SQLite's own waits grow, and some would wait too long."""
    time.sleep(BUSY_PAUSE)
    return tries * BUSY_PAUSE * 1000 < WRITE_BUSY_MILLISECONDS


def _each(
    tx: Transaction, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
) -> list[Shape]:
    found = (tx.one(shape, query, mac=mac) for mac in macs)
    return [record for record in found if record is not None]


def _in_snapshot(connection: apsw.Connection, work: Callable[[], Result]) -> Result:
    with unavailable_on_failure:
        connection.execute("BEGIN")
        try:
            return work()
        finally:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
