"""What every store promises to one process: `keyturn.storage.store` in tests."""

import asyncio
import threading

import pytest

from keyturn.core.errors import AgentRevoked, KeyturnError, Unavailable
from keyturn.storage.store import Transaction
from tests.storage.backends import ClosableStore, Place
from tests.storage.batches import PATIENCE, Change, Gate, do, outcomes, together, waiting


def refused_after(place: Place, name: str, error: Exception) -> Change:
    """A change that writes, and is then refused."""

    def work(tx: Transaction) -> None:
        place.counters.put(tx, name, 1)
        raise error

    return work


def test_what_was_written_is_read(place: Place, store: ClosableStore) -> None:
    async def scenario() -> None:
        assert await store.write(place.put("a", 5)) == 5
        assert await store.read(place.get("a")) == 5
        assert await store.scan(place.get("a")) == 5
        await store.write(place.remove("a"))
        assert await store.read(place.get("a")) is None

    asyncio.run(scenario())


def test_what_was_written_is_there_when_the_store_is_opened_again(place: Place) -> None:
    with place.opened() as first:
        do(first.write(place.put("a", 5)))
    with place.opened() as second:
        assert do(second.read(place.get("a"))) == 5


ERRORS = [AgentRevoked(), ZeroDivisionError("a defect"), KeyError("nothing of this name")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_is_refused_leaves_nothing_while_its_neighbours_stand(
    place: Place, store: ClosableStore, error: Exception, position: int
) -> None:
    changes: list[Change] = [place.put("a", 1), place.put("b", 2)]
    changes.insert(position, refused_after(place, "refused", error))
    found = asyncio.run(together(store, *changes))
    assert found.pop(position) is error
    assert found == [1, 2]
    assert [do(store.read(place.get(name))) for name in ("a", "b", "refused")] == [1, 2, None]


def test_what_the_database_refuses_leaves_nothing_while_its_neighbours_stand(
    place: Place, store: ClosableStore
) -> None:
    def break_a_rule(tx: Transaction) -> None:
        place.counters.put(tx, "refused", 1)
        place.counters.put(tx, "worse", None)  # type: ignore[arg-type]

    changes = [place.put("a", 1), break_a_rule, place.put("b", 2)]
    first, broken, last = asyncio.run(together(store, *changes))
    assert (first, last) == (1, 2)
    assert isinstance(broken, Exception)
    assert not isinstance(broken, KeyturnError)
    names = ("a", "b", "refused", "worse")
    assert [do(store.read(place.get(name))) for name in names] == [1, 2, None, None]


def test_what_is_put_off_is_seen_by_the_next_statement_and_kept_in_its_order(
    place: Place, store: ClosableStore
) -> None:
    def change(tx: Transaction) -> list[int | None]:
        place.counters.put(tx, "a", 1)
        place.counters.put_later(tx, "a", 2)
        place.counters.put_later(tx, "a", 3)
        seen = [place.counters.get(tx, "a")]
        place.counters.put_later(tx, "a", 4)
        return seen

    assert do(store.write(change)) == [3]
    assert do(store.read(place.get("a"))) == 4


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    ("broken", "refused"),
    [(False, True), (True, False), (True, True)],
    ids=["refused", "broken", "both"],
)
def test_what_is_put_off_and_then_refused_leaves_nothing_while_its_neighbours_stand(
    place: Place, store: ClosableStore, position: int, broken: bool, refused: bool
) -> None:
    def put_off(tx: Transaction) -> None:
        place.counters.put_later(tx, "a", 5)
        if broken:
            place.counters.put_later(tx, "a", None)  # type: ignore[arg-type]
        if refused:
            raise AgentRevoked

    do(store.write(place.put("a", 1)))
    changes: list[Change] = [place.put("b", 2), place.put("c", 3)]
    changes.insert(position, put_off)
    found = asyncio.run(together(store, *changes))
    error = found.pop(position)
    assert isinstance(error, Exception)
    assert broken or isinstance(error, AgentRevoked)
    assert not isinstance(error, Unavailable)
    assert found == [2, 3]
    assert [do(store.read(place.get(name))) for name in "abc"] == [1, 2, 3]


def test_all_may_be_refused(place: Place, store: ClosableStore) -> None:
    errors = [AgentRevoked() for _ in range(3)]
    changes = [refused_after(place, "refused", error) for error in errors]
    assert asyncio.run(together(store, *changes)) == errors
    assert do(store.read(place.get("refused"))) is None


def test_changes_that_wait_together_see_each_other_in_their_order(
    place: Place, store: ClosableStore
) -> None:
    found = asyncio.run(together(store, *[place.increment("a")] * 100, alone=["a"]))
    assert found == list(range(1, 101))
    assert do(store.read(place.get("a"))) == 100


def test_nothing_is_answered_nor_seen_before_all_that_is_kept_with_it_is_durable(
    place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        first, second = Gate(), Gate()
        [held] = await waiting(store, first)
        await first.entered()
        early, late = await waiting(store, place.put("a", 5), second)
        first.open()
        await held
        await second.entered()
        # The change has been made by now, and is not committed.
        assert not early.done()
        assert await store.read(place.get("a")) is None
        assert await other.read(place.get("a")) is None
        second.open()
        await outcomes([early, late])
        assert await other.read(place.get("a")) == 5

    with place.opened() as other:
        asyncio.run(scenario())


def test_every_read_sees_every_acknowledged_write(place: Place, store: ClosableStore) -> None:
    async def one_after_another(name: str) -> None:
        for value in range(1, 31):
            await store.write(place.put(name, value))
            assert await store.read(place.get(name)) == value
            assert await store.scan(place.get(name)) == value
            assert await other.read(place.get(name)) == value

    async def scenario() -> None:
        await asyncio.gather(*map(one_after_another, "abc"))

    with place.opened() as other:
        asyncio.run(scenario())


def test_a_read_stays_with_what_it_saw_first(place: Place, store: ClosableStore) -> None:
    def look_twice(tx: Transaction) -> tuple[int | None, int | None]:
        before = place.counters.get(tx, "a")
        change = threading.Thread(target=lambda: do(other.write(place.increment("a"), alone=["a"])))
        change.start()
        change.join(PATIENCE)
        return before, place.counters.get(tx, "a")

    async def scenario() -> None:
        await store.write(place.put("a", 1))
        assert await store.read(look_twice) == (1, 1)
        assert await store.scan(look_twice) == (2, 2)
        assert await store.read(place.get("a")) == 3

    with place.opened() as other:
        asyncio.run(scenario())


def test_a_look_that_fails_is_no_harm_to_the_next(place: Place, store: ClosableStore) -> None:
    def fail(_tx: Transaction) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        await store.write(place.put("a", 1))
        with pytest.raises(ZeroDivisionError):
            await store.read(fail)
        with pytest.raises(ZeroDivisionError):
            await store.scan(fail)
        assert await store.read(place.get("a")) == 1
        assert await store.scan(place.get("a")) == 1

    asyncio.run(scenario())


def test_a_look_changes_nothing(place: Place, store: ClosableStore) -> None:
    async def scenario() -> None:
        await store.read(place.put("a", 1))
        await store.scan(place.put("b", 1))
        assert await store.read(place.get("a")) is None
        assert await store.read(place.get("b")) is None
        # And it holds nothing that a change needs.
        assert await store.write(place.put("a", 2)) == 2

    asyncio.run(scenario())


def test_a_locked_database_is_unavailable_keeps_nothing_and_works_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.hurry(monkeypatch)

    async def scenario() -> None:
        await store.write(place.put("a", 1))
        with place.locked():
            found = await outcomes(await waiting(store, place.put("a", 2), place.put("b", 2)))
            assert [type(each) for each in found] == [Unavailable, Unavailable]
            assert await store.read(place.get("a")) == 1
        assert await store.write(place.increment("a"), alone=["a"]) == 2
        assert await store.read(place.get("b")) is None

    with place.opened() as store:
        asyncio.run(scenario())


def test_closing_finishes_what_waits(place: Place) -> None:
    async def scenario() -> None:
        gate = Gate()
        with place.opened() as store:
            await waiting(store, gate)
            await gate.entered()
            tasks = await waiting(store, *[place.increment("a")] * 20, alone=["a"])
            closing = asyncio.create_task(asyncio.to_thread(store.close))
            gate.open()
            assert await outcomes(tasks) == list(range(1, 21))
            await closing

    asyncio.run(scenario())
    with place.opened() as again:
        assert do(again.read(place.get("a"))) == 20
