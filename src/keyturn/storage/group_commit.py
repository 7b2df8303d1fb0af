"""One thread writes: it takes everything that waits and commits it together.

One fsync then serves many changes. One that is refused leaves nothing and the others stand.
Nearly every refusal comes before anything is written; where one does not, the batch is undone and
run again with a savepoint around each change. Savepoints always would cost a third more.

A change whose names another process has to itself lets the others of its batch go on. The writer
waits a little for the first of those that were held up, and then, in turn, takes what has come.
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


class Taken(Unavailable):
    """Another process has something to itself for longer than was waited: nothing was kept."""


class Connection(Protocol):
    """What the writer needs of a database. Each method may raise `Unavailable`, or `Conflict`."""

    def begin(
        self, alone: Collection[str], waits_for: Collection[str], /
    ) -> tuple[Transaction, Collection[str]]:
        """Open a write transaction, which has names to itself until it ends.

        With it come those of `alone` that another process has. It waits a little for those in
        `waits_for`, and raises `Taken` where that was not enough.
        """

    def changes(self) -> int:
        """How many rows were changed since the connection was opened."""

    def flush(self) -> None:
        """Run what changes have put off; a failure may be that of any of them."""

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
    given_up_at: float
    result: Any = None
    error: BaseException | None = None


class Writer:
    """The thread. `on_lost_commit` is called once, from it, when a commit has failed.

    A change that has waited for over `patience` seconds is not begun any more, nor is one that
    another process has held up for over `turn`.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        on_lost_commit: Callable[[], None],
        patience: float = math.inf,
        turn: float = math.inf,
    ) -> None:
        self._patience = patience
        self._turn = turn
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gathered: list[Job] = []
        self._held_up: list[Job] = []
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
        given_up_at = time.monotonic() + self._patience
        job = Job(work, alone, loop, loop.create_future(), given_up_at)
        if self._closed or self._broken:
            raise Unavailable("the writer has stopped")
        waiting = self._jobs.qsize() + len(self._gathered) + len(self._held_up)
        if waiting >= MAX_WAITING:
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
        wait = False
        while (batch := self._next(wait)) is not None:
            jobs = self._in_time(batch)
            try:
                if jobs:
                    _deliver(self._commit(jobs, wait))
                    self._connection.after_commit()
                wait = bool(self._held_up) and not wait
            except Exception as error:  # Whatever it is, nobody knows what was kept.
                self._broken = True
                self._on_lost_commit()
                _fail(jobs, Unavailable(repr(error)))
                break
        self._refuse_waiting()
        self._connection.close()

    def _next(self, wait: bool) -> list[Job] | None:
        """A batch, or None at the end; only of what was held up where that is waited for."""
        held_up, self._held_up = self._held_up[:BATCH], self._held_up[BATCH:]
        if wait:
            return held_up
        if held_up:
            return held_up + self._take_waiting()
        first = self._jobs.get()
        return None if first is None else [first, *self._take_waiting()]

    def _in_time(self, jobs: list[Job]) -> list[Job]:
        """Those that somebody waits for; what was given up is not begun."""
        now = time.monotonic()
        late = [job for job in jobs if now > job.given_up_at]
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

    def _commit(self, jobs: list[Job], wait: bool) -> list[Job]:
        """Those that have their outcome; the others are held up."""
        try:
            done = self._run_and_commit(jobs, wait)
        except Unavailable as error:
            if wait and isinstance(error, Taken):
                # Next time another is waited for.
                jobs, done = jobs[1:] + jobs[:1], []
            else:
                done = jobs
            for job in done:
                # A refusal too: it may rest on what another job had changed, and is undone.
                job.error = error
        held_up = [job for job in jobs if job not in done]
        turn_ends_at = time.monotonic() + self._turn
        for job in held_up:
            job.given_up_at = min(job.given_up_at, turn_ends_at)
        self._held_up += held_up
        return done

    def _run_and_commit(self, jobs: list[Job], wait: bool) -> list[Job]:
        for tries_left in reversed(range(CONFLICT_TRIES)):
            try:
                transaction, free = self._begin(jobs, wait)
                if not self._run_together(transaction, free):
                    self._connection.rollback()
                    transaction, free = self._begin(free, wait)
                    self._run_apart(transaction, free)
                self._connection.commit()
            except Unavailable as error:
                self._connection.rollback()
                if not isinstance(error, Conflict) or not tries_left:
                    raise
                # Those who were in each other's way come back at different times.
                time.sleep(random.uniform(0, CONFLICT_PAUSE * (CONFLICT_TRIES - tries_left)))  # noqa: S311
            else:
                return free
        raise AssertionError("unreachable")

    def _begin(self, jobs: list[Job], wait: bool) -> tuple[Transaction, list[Job]]:
        """A transaction, and those of the jobs that nobody is in the way of."""
        waits_for = set(jobs[0].alone) if wait else set()
        transaction, taken = self._connection.begin(_names(jobs), waits_for)
        return transaction, [job for job in jobs if not set(taken).intersection(job.alone)]

    def _run_together(self, transaction: Transaction, jobs: list[Job]) -> bool:
        """Run the jobs; False where one has failed and left something to undo."""
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
        try:
            self._connection.flush()
        except Unavailable:
            raise
        except Exception:  # Whose it is shows when each runs apart.
            return False
        return True

    def _run_apart(self, transaction: Transaction, jobs: list[Job]) -> None:
        for job in jobs:
            self._connection.savepoint()
            try:
                job.result, job.error = job.work(transaction), None
                self._connection.flush()
            except Unavailable:
                raise
            except Exception as error:  # As above.
                self._connection.rollback_to_savepoint()
                job.error = error
            else:
                self._connection.release()

    def _refuse_waiting(self) -> None:
        _fail(self._held_up, Unavailable("the writer has stopped"))
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
