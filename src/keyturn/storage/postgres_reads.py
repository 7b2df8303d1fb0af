"""Reads from PostgreSQL that don't keep the event loop waiting."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from psycopg import Error

from keyturn.core.errors import Unavailable
from keyturn.storage.group_commit import Conflict
from keyturn.storage.postgres_line import Line
from keyturn.storage.postgres_server import (
    Database,
    connect_async,
    for_each,
    statements,
    statements_by_mac,
    unavailable,
)
from keyturn.storage.postgres_session import SNAPSHOT, Row, Session, in_snapshot
from keyturn.storage.store import Result, Transaction

MAX_WAITING = 1024
"""Past so many that wait, others are refused at once."""
MAX_WAITING_MACS = 8192
"""As `MAX_WAITING`, for the values that all look-ups together ask for."""
MESSAGE_MACS = 512
"""Values in a message, or those of one look-up: the loop stands still while rows are taken in."""
LOOK_UP_MILLISECONDS = 2000
GRACE_SECONDS = 1.0
"""How long after its own limit the server is given up."""


@dataclass(slots=True)
class _LookUp:
    query: str
    macs: Sequence[bytes]
    rows: asyncio.Future[list[Row]]
    given_up_at: float
    found: list[Row] = field(default_factory=list)


class LookUps:
    """Look-ups that wait at the same moment share one message to the server.

    It is sent after the last of them came, so each sees all that was acknowledged before it. One
    that comes alone goes at once; those that come while a message is on its way share the next,
    or where they are many the next few.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = statements_by_mac(database)
        self._line: Line | None = None
        self._waiting: deque[_LookUp] = deque()
        self._waiting_macs = 0
        self._task: asyncio.Task[None] | None = None

    async def find(self, query: str, macs: Sequence[bytes]) -> list[Row]:
        """The rows of a statement for each of these values of `mac`, in their order.

        Raises:
            Unavailable: too many wait already, or the database can't answer.
        """
        full = self._waiting and self._waiting_macs + len(macs) > MAX_WAITING_MACS
        if full or len(self._waiting) >= MAX_WAITING:
            raise Unavailable("too many look-ups wait")
        loop = asyncio.get_running_loop()
        asked = _LookUp(query, macs, loop.create_future(), loop.time() + _patience())
        self._waiting.append(asked)
        self._waiting_macs += len(macs)
        if self._task is None:
            self._task = loop.create_task(self._serve())
        return await asked.rows

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()

    async def _serve(self) -> None:
        try:
            while asked := self._take():
                try:
                    await self._ask(asked)
                except Exception as error:  # Whatever it is, all of them wait for it.
                    for each in asked:
                        if not each.rows.done():
                            each.rows.set_exception(error)
        finally:
            self._task = None

    def _take(self) -> list[_LookUp]:
        """Those of the next message, in their order; one of many values has it to itself."""
        now = asyncio.get_running_loop().time()
        taken: list[_LookUp] = []
        macs = 0
        while self._waiting and (not taken or macs + len(self._waiting[0].macs) <= MESSAGE_MACS):
            first = self._waiting.popleft()
            self._waiting_macs -= len(first.macs)
            if now <= first.given_up_at:
                taken.append(first)
                macs += len(first.macs)
            elif not first.rows.done():
                first.rows.set_exception(Unavailable("it has waited too long"))
        return taken

    async def _ask(self, asked: list[_LookUp]) -> None:
        together: dict[str, list[tuple[_LookUp, bytes]]] = {}
        for each in asked:
            together.setdefault(each.query, []).extend([(each, mac) for mac in each.macs])
        statements = [
            for_each(self._statements[query], [mac for _, mac in pairs])
            for query, pairs in together.items()
            if pairs
        ]
        results = await self._run(statements)
        for pairs, rows in zip(filter(None, together.values()), results, strict=True):
            for row in rows:
                pairs[row[0] - 1][0].found.append(row[1:])
        for each in asked:
            if not each.rows.done():
                each.rows.set_result(each.found)

    async def _run(self, statements: list[str]) -> list[list[Row]]:
        """The rows of each statement."""
        text = ";".join([_BEGIN, *statements, "COMMIT"])
        loop = asyncio.get_running_loop()
        end = loop.time() + LOOK_UP_MILLISECONDS / 1000
        for last in (False, True):
            made_before = self._line
            try:
                if self._line is None or self._line.closed:
                    made_before = None
                    self._line = Line(await connect_async(self._database))
                results = await self._line.run(text, _patience())
            except Error as error:
                if self._line is not None:
                    # Whatever state it is in.
                    self._line.close()
                told = unavailable(error)
                may_go_well = made_before is not None or isinstance(told, Conflict)
                if last or not may_go_well or loop.time() >= end:
                    raise told from None
            else:
                if len(results) != len(statements):
                    raise AssertionError("a statement without an answer")
                return results
        raise AssertionError("unreachable")


_BEGIN = f"{SNAPSHOT};SET LOCAL statement_timeout = {LOOK_UP_MILLISECONDS}"


def _patience() -> float:
    return LOOK_UP_MILLISECONDS / 1000 + GRACE_SECONDS


class Readers:
    """Threads that read, each on a connection of its own."""

    def __init__(self, database: Database, purpose: str, threads: int, milliseconds: int) -> None:
        self._database = database
        self._statements = statements(database)
        self._threads = ThreadPoolExecutor(threads, f"{purpose}-{database.name}")
        self._milliseconds = milliseconds
        self._seconds = milliseconds / 1000 + GRACE_SECONDS
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._waiting = 0

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Read in one snapshot.

        Raises:
            Unavailable: too many wait already, or the database can't answer.
        """
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many reads wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, self.read_here, work)
        except TimeoutError:
            self.interrupt(self._seconds / 2)
            raise Unavailable("the database does not answer") from None
        finally:
            self._waiting -= 1

    def interrupt(self, seconds: float) -> None:
        """Hang up where a read has gone on for longer than this."""
        for session in self._sessions:
            session.interrupt(seconds)

    def read_here(self, work: Callable[[Transaction], Result]) -> Result:
        """Read in this thread.

        Raises:
            Unavailable
        """
        if not hasattr(self._local, "session"):
            self._local.session = Session(self._database, self._statements)
            self._sessions.append(self._local.session)
        return in_snapshot(self._local.session, self._milliseconds, work)

    def close(self) -> None:
        """Finish what has begun and close every connection."""
        self._threads.shutdown()
        for session in self._sessions:
            session.close()
