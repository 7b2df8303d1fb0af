"""The store on PostgreSQL, through psycopg.

A process has one connection for look-ups on the event loop, one for each reading thread and one
for the writer. Writers of different processes commit side by side: what must not overlap locks
the slots of its names first.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b

from keyturn.core.errors import Unavailable
from keyturn.storage.group_commit import Writer
from keyturn.storage.postgres_reads import LookUps, Readers
from keyturn.storage.postgres_server import SLOTS, Database, statements
from keyturn.storage.postgres_session import PostgresTransaction, Session, patience
from keyturn.storage.store import Result, Shape, Transaction

READING_THREADS = 4
SCANNING_THREADS = 2
READ_MILLISECONDS = 2000
SCAN_MILLISECONDS = 30_000
WRITE_MILLISECONDS = 5000
TURN_MILLISECONDS = 3000
"""How long a change waits for those of other processes."""
TURN_STEP_MILLISECONDS = 50
"""How long all changes of a process wait at once for one of them to have its turn."""
CLOSING_SECONDS = 5.0
"""How long the end waits for a server that may be silent."""
ANSWER_SECONDS = 15.0
"""How long a change waits for all that is before it, and for its commit."""


class PostgresStore:
    """The promises of `Store`, on a database that any number of processes share.

    No commit is lost as to a failing disk of ours: where nobody knows, it is `Unavailable`.
    """

    def __init__(self, database: Database, on_lost_commit: Callable[[], None]) -> None:
        self._name = database.name
        self._look_ups = LookUps(database)
        self._readers = Readers(database, "read", READING_THREADS, READ_MILLISECONDS)
        self._scanners = Readers(database, "scan", SCANNING_THREADS, SCAN_MILLISECONDS)
        self._version = self._readers.read_here(self._schema_version)
        self._session = Session(database, statements(database))
        self._writer = Writer(
            f"write-{database.name}",
            WriterConnection(self._session, database.name),
            on_lost_commit,
            patience=ANSWER_SECONDS,
            turn=TURN_MILLISECONDS / 1000,
        )

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        return [shape(*row) for row in await self._look_ups.find(query, macs)]

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        return await self._readers.read(work)

    async def scan(self, work: Callable[[Transaction], Result]) -> Result:
        return await self._scanners.read(work)

    async def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Result:
        # The server's own timeouts don't end a commit that waits for a standby.
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                result: Result = await self._writer.submit(work, alone)
        except TimeoutError:
            self._session.interrupt(ANSWER_SECONDS / 2)
            raise Unavailable("the database does not answer") from None
        return result

    async def scrub(self) -> None:
        """Nothing: what was deleted is gone from the server's files when it has vacuumed them."""

    async def finish_scrub(self) -> None:
        """As `scrub`."""

    async def check(self) -> None:
        version = await self.read(self._schema_version)
        if version != self._version:
            raise Unavailable(f"the schema is {version} and was {self._version}")

    def close(self) -> None:
        """Finish what waits and close every connection; who is silent then is hung up on."""
        silent = threading.Timer(CLOSING_SECONDS, self._interrupt)
        silent.start()
        try:
            self._writer.close()
            self._readers.close()
            self._scanners.close()
            self._look_ups.close()
        finally:
            silent.cancel()

    def _interrupt(self) -> None:
        self._session.interrupt(0)
        self._readers.interrupt(0)
        self._scanners.interrupt(0)

    def _schema_version(self, tx: Transaction) -> int | None:
        return tx.one(int, "schema_version", name=self._name)


class WriterConnection:
    """The writer's connection."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._transaction: PostgresTransaction | None = None

    def begin(
        self, alone: Collection[str], waits_for: Collection[str], /
    ) -> tuple[Transaction, Collection[str]]:
        slots = {name: self._slot(name) for name in alone}
        # Each statement after the locks sees what is there by then; a snapshot made before
        # them would not. Those that are waited for come in one order, and before all that are
        # not, so that none waits in a circle.
        waits = f"SET LOCAL lock_timeout = {TURN_STEP_MILLISECONDS};" + _lock(
            [slots[name] for name in waits_for], "ORDER BY slot FOR UPDATE"
        )
        self._transaction = self._session.begin(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;"
            "SET LOCAL synchronous_commit = on;"
            + (waits if waits_for else "")
            + f"SET LOCAL lock_timeout = {TURN_MILLISECONDS};{patience(WRITE_MILLISECONDS)};"
            + _lock(slots.values(), "FOR UPDATE SKIP LOCKED")
        )
        had = {slot for (slot,) in self._transaction.begun_with}
        return self._transaction, [name for name, slot in slots.items() if slot not in had]

    def changes(self) -> int:
        return self._transaction.changes if self._transaction else 0

    def savepoint(self) -> None:
        self._open.run("SAVEPOINT change")

    def release(self) -> None:
        self._open.run("RELEASE SAVEPOINT change")

    def rollback_to_savepoint(self) -> None:
        self._open.forget()
        self._open.run("ROLLBACK TO SAVEPOINT change; RELEASE SAVEPOINT change")

    def flush(self) -> None:
        self._open.flush()

    def commit(self) -> None:
        self._session.commit()

    def rollback(self) -> None:
        self._session.rollback()

    def after_commit(self) -> None:
        """Nothing: the server keeps its own house."""

    def close(self) -> None:
        self._session.close()

    @property
    def _open(self) -> PostgresTransaction:
        if self._transaction is None:
            raise Unavailable("nothing has begun")
        return self._transaction

    def _slot(self, name: str) -> int:
        digest = blake2b(f"{self._name} {name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % SLOTS


def _lock(slots: Collection[int], how: str) -> str:
    places = ",".join(str(slot) for slot in sorted(set(slots)))
    rows = f"SELECT slot FROM keyturn_turns WHERE slot IN ({places}) {how};"  # noqa: S608
    return rows if places else ""
