"""A writer on a connection that does what a test says."""

import threading
from collections.abc import Collection, Iterable
from typing import Any, cast

from keyturn.storage.group_commit import Taken, Writer
from keyturn.storage.store import Transaction
from tests.storage.batches import Change


class FakeConnection:
    """A connection that keeps a list, and fails where it is told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.kept: list[int] = []
        self.failing: dict[str, Exception] = {}
        self.taken: set[str] = set()
        self.waited_for: list[set[str]] = []
        self._open: list[int] = []
        self._saved: list[int] = []

    def begin(
        self, alone: Collection[str], waits_for: Collection[str], /
    ) -> tuple[Transaction, Collection[str]]:
        self._do("begin")
        self.waited_for.append(set(waits_for))
        if self.taken.intersection(waits_for):
            raise Taken("for longer than was waited")
        self._open = []
        return cast(Transaction, self._open), self.taken.intersection(alone)

    def changes(self) -> int:
        return len(self._open)

    def flush(self) -> None:
        self._do("flush")

    def savepoint(self) -> None:
        self._do("savepoint")
        self._saved = list(self._open)

    def release(self) -> None:
        self._do("release")

    def rollback_to_savepoint(self) -> None:
        self._do("rollback to savepoint")
        self._open[:] = self._saved

    def commit(self) -> None:
        self._do("commit")
        self.kept += self._open

    def rollback(self) -> None:
        self._do("rollback")
        self._open = []

    def after_commit(self) -> None:
        self._do("after commit")

    def close(self) -> None:
        self._do("close")

    def _do(self, step: str) -> None:
        self.done.append(step)
        if step in self.failing:
            raise self.failing[step]


class World:
    """A writer on a fake connection, and how often it has lost a commit."""

    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.lost = 0
        self.told = threading.Event()
        self.lost_in: set[str] = set()
        self.writer = Writer("writer under test", self.connection, self._note_lost_commit)

    async def write(self, work: Change, /, *, alone: Iterable[str] = ()) -> Any:
        return await self.writer.submit(work, alone)

    def _note_lost_commit(self) -> None:
        self.lost += 1
        self.lost_in.add(threading.current_thread().name)
        self.told.set()


def keep(number: int) -> Change:
    """A change that keeps a number, and answers with it."""

    def work(tx: Transaction) -> int:
        cast(list[int], tx).append(number)
        return number

    return work


def refuse(error: Exception) -> Change:
    def work(tx: Transaction) -> None:
        cast(list[int], tx).append(-1)
        raise error

    return work


def kinds(found: list[Any]) -> list[type]:
    return [type(each) for each in found]
