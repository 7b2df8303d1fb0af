"""One thread writes: it takes everything that waits and commits it together.

One fsync then serves many changes. One that is refused leaves nothing and the others stand.
Nearly every refusal comes before anything is written; where one does not, the batch is undone and
run again with a savepoint around each change. Savepoints always would cost a third more.
"""

import asyncio
import contextlib
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from keyturn.core.errors import KeyturnError, Unavailable
from keyturn.storage.store import Transaction

BATCH = 64
MAX_WAITING = 1024
CONFLICT_TRIES = 8
CONFLICT_PAUSE = 0.005


class CommitFailed(Exception):
    """An fsync failed: nobody knows what is on the disk."""


class Conflict(Unavailable):
    """Another process was in the way: nothing was kept, and the batch may be run again."""


class Connection(Protocol):
    """What the writer needs of a database. Each method may raise `Unavailable`, or `Conflict`."""

    def begin(self, alone: Collection[str], /) -> Transaction:
        """Open a write transaction, which has these names to itself until it ends."""

    def changes(self) -> int:
        """How many rows were changed since the connection was opened."""

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def rollback_to_savepoint(self) -> None: ...

    def commit(self) -> None:
        """Make it durable; raises `CommitFailed` where nobody knows whether it is."""

    def rollback(self) -> None:
        """Undo everything since `begin`; never raises."""

    def after_commit(self) -> None:
        """Housekeeping between batches; raises `CommitFailed` where the disk has failed."""

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """A change that waits, and where its outcome goes."""

    work: Callable[[Transaction], Any]
    alone: Iterable[str]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    asked_at: float
    result: Any = None
    error: BaseException | None = None


class Writer:
    """The thread. `on_lost_commit` is called once, from it, when a commit has failed.

    A change that has waited for over `patience` seconds is not begun any more.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        on_lost_commit: Callable[[], None],
        patience: float = math.inf,
    ) -> None:
        self._patience = patience
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gathered: list[Job] = []
        self._on_lost_commit = on_lost_commit
        self._connection = connection
        self._closed = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[Transaction], Any], alone: Iterable[str] = ()) -> Any:
        """Run the change in the thread; the answer comes when it is durable.

        No other process changes what is called by the names in `alone` meanwhile.

        Raises:
            Unavailable: too many wait already, or the database can't answer.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, alone, loop, loop.create_future(), time.monotonic())
        if self._closed or self._broken:
            raise Unavailable("the writer has stopped")
        if self._jobs.qsize() + len(self._gathered) >= MAX_WAITING:
            raise Unavailable("too many changes wait")
        # What is asked for in one turn of the loop is handed over, and then committed, together.
        self._gathered.append(job)
        if len(self._gathered) == 1:
            loop.call_soon(self._hand_over)
        return await job.future

    def close(self) -> None:
        """Finish what waits, then end the thread and its connection."""
        self._closed = True
        self._hand_over()
        self._jobs.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        for job in gathered:
            self._jobs.put(job)
        if self._broken:
            self._refuse_waiting()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = self._in_time([first, *self._take_waiting()])
            if not jobs:
                continue
            try:
                self._commit(jobs)
                _deliver(jobs)
                self._connection.after_commit()
            except Exception as error:  # Whatever it is, nobody knows what was kept.
                self._broken = True
                self._on_lost_commit()
                _fail(jobs, Unavailable(repr(error)))
                break
        self._refuse_waiting()
        self._connection.close()

    def _in_time(self, jobs: list[Job]) -> list[Job]:
        """Those that somebody waits for; what was given up is not begun."""
        now = time.monotonic()
        late = [job for job in jobs if now - job.asked_at > self._patience]
        _fail(late, Unavailable("it has waited too long"))
        return [job for job in jobs if job not in late]

    def _take_waiting(self) -> list[Job]:
        jobs: list[Job] = []
        with contextlib.suppress(queue.Empty):
            while len(jobs) < BATCH - 1:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)
                    break
                jobs.append(job)
        return jobs

    def _commit(self, jobs: list[Job]) -> None:
        try:
            self._run_and_commit(jobs)
        except Unavailable as error:
            for job in jobs:
                # A refusal too: it may rest on what another job had changed, and is undone.
                job.error = error

    def _run_and_commit(self, jobs: list[Job]) -> None:
        for tries_left in reversed(range(CONFLICT_TRIES)):
            try:
                if not self._run_together(jobs):
                    self._connection.rollback()
                    self._run_apart(jobs)
                self._connection.commit()
            except Unavailable as error:
                self._connection.rollback()
                if not isinstance(error, Conflict) or not tries_left:
                    raise
                # Those who were in each other's way come back at different times.
                time.sleep(random.uniform(0, CONFLICT_PAUSE * (CONFLICT_TRIES - tries_left)))  # noqa: S311
            else:
                return

    def _run_together(self, jobs: list[Job]) -> bool:
        """Run the jobs; False where one has failed and left something to undo."""
        transaction = self._connection.begin(_names(jobs))
        for job in jobs:
            before = self._connection.changes()
            try:
                job.result, job.error = job.work(transaction), None
            except Unavailable:
                raise
            except Exception as error:  # Anything else is this job's own affair, a defect included.
                if self._connection.changes() != before:
                    return False
                job.error = error
        return True

    def _run_apart(self, jobs: list[Job]) -> None:
        transaction = self._connection.begin(_names(jobs))
        for job in jobs:
            self._connection.savepoint()
            try:
                job.result, job.error = job.work(transaction), None
            except Unavailable:
                raise
            except Exception as error:  # As above.
                self._connection.rollback_to_savepoint()
                job.error = error
            else:
                self._connection.release()

    def _refuse_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    _fail([job], Unavailable("the writer has stopped"))


def _names(jobs: list[Job]) -> set[str]:
    return {name for job in jobs for name in job.alone}


def _fail(jobs: list[Job], error: KeyturnError) -> None:
    for job in jobs:
        job.error = error
    _deliver(jobs)


def _deliver(jobs: list[Job]) -> None:
    for loop in {job.loop for job in jobs}:
        # The loop is closed when its process is going down; then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, [job for job in jobs if job.loop is loop])


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
