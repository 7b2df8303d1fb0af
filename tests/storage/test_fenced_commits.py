"""When the store marks its fence: after the commit, before the answer, once for a batch."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import apsw
import pytest

from keyturn.core.errors import AgentRevoked, Unavailable
from keyturn.core.fence import Record, agent_record
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import Database, credentials_database, prepare
from keyturn.storage.store import Transaction
from tests.storage.backends import AgentCounters
from tests.storage.batches import do, outcomes, together

counters = AgentCounters()


class Watched(FenceFile):
    """A fence in memory that looks at what is committed whenever it is marked."""

    def __init__(self, database: Database) -> None:
        super().__init__(Path("nowhere"))
        self.marked: list[list[Record]] = []
        self.committed: list[set[str]] = []
        self.failure: Exception | None = None
        self._database = database

    def append(self, records: Iterable[Record]) -> None:
        with contextlib.closing(apsw.Connection(str(self._database.path))) as other:
            self.committed.append({str(row[0]) for row in other.execute("SELECT id FROM agents")})
        self.marked.append(list(records))
        if self.failure:
            raise self.failure


class World:
    def __init__(self, folder: Path) -> None:
        database = credentials_database(folder / "keyturn.db")
        prepare(database)
        self.fence = Watched(database)
        self.lost = 0
        self.store = SqliteStore(database, self._note_lost, self.fence)

    def _note_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def change(name: str, failure: Exception | None = None) -> Callable[[Transaction], str]:
    """A change with a mark, which may fail afterwards."""

    def work(tx: Transaction) -> str:
        counters.put(tx, name, 1)
        tx.fence(mark(name))
        if failure:
            raise failure
        return name

    return work


def mark(name: str) -> Record:
    return agent_record(name, 2, "active")


def test_what_is_marked_is_committed_already_and_answered_afterwards(world: World) -> None:
    assert do(world.store.write(change("a"))) == "a"
    assert world.fence.marked == [[mark("a")]]
    assert world.fence.committed == [{"a"}]


def test_what_is_committed_together_is_marked_together(world: World) -> None:
    do(together(world.store, change("a"), change("b"), change("c")))
    assert world.fence.marked == [[mark("a"), mark("b"), mark("c")]]


def test_a_change_that_retires_nothing_marks_nothing(world: World) -> None:
    do(world.store.write(lambda tx: counters.put(tx, "a", 1)))
    assert world.fence.marked == []


def test_what_is_undone_is_not_marked(world: World) -> None:
    do(together(world.store, change("a"), change("b", AgentRevoked()), change("c")))
    assert world.fence.marked == [[mark("a"), mark("c")]]
    assert world.fence.committed == [{"a", "c"}]


def test_what_the_database_can_not_keep_is_not_marked_then_or_later(world: World) -> None:
    do(together(world.store, change("a"), change("b", Unavailable("of this test"))))
    do(world.store.write(change("c")))
    assert world.fence.marked == [[mark("c")]]


def test_what_can_not_be_marked_is_not_answered_and_ends_all_writing(world: World) -> None:
    world.fence.failure = OSError(5, "of this test")
    [outcome] = do(_outcome(world, change("a")))
    assert isinstance(outcome, Unavailable)
    assert world.lost == 1
    world.fence.failure = None
    [outcome] = do(_outcome(world, change("b")))
    assert isinstance(outcome, Unavailable)


async def _outcome(world: World, work: Callable[[Transaction], str]) -> list[object]:
    return await outcomes([asyncio.ensure_future(world.store.write(work))])
