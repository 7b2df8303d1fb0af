"""What every store promises where several processes share it, or one of them dies."""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.storage import processes as others
from tests.storage.backends import ClosableStore, Place
from tests.storage.batches import PATIENCE, do
from tests.storage.conftest import PROCESSES

SPAWN = multiprocessing.get_context("spawn")
TASKS, TIMES = 4, 10


def test_processes_that_write_at_once_lose_no_update(
    place: Place, store: ClosableStore, processes: ProcessPoolExecutor
) -> None:
    working = [
        processes.submit(others.increment, place, "a", TASKS, TIMES) for _ in range(PROCESSES)
    ]
    mine = [do(store.write(place.increment("a"), alone=["a"])) for _ in range(TIMES)]
    values = mine + [value for each in working for value in each.result()]
    assert sorted(values) == list(range(1, PROCESSES * TASKS * TIMES + TIMES + 1))
    assert do(store.read(place.get("a"))) == len(values)


def test_what_was_acknowledged_is_seen_by_every_process(
    place: Place, store: ClosableStore, processes: ProcessPoolExecutor
) -> None:
    for value in range(1, 6):
        do(store.write(place.put("a", value)))
        assert processes.submit(others.look, place, "a").result() == value


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_of_processes_that_compare_and_swap_at_once_one_succeeds(
    place: Place, store: ClosableStore, processes: ProcessPoolExecutor
) -> None:
    do(store.write(place.put("an agent", 100)))
    for generation in range(1, 6):
        secrets = [bytes([generation, number]) for number in range(2 * PROCESSES)]
        working = [
            processes.submit(others.swap_secret, place, "an agent", generation, secret)
            for secret in secrets
        ]
        winners = [secret for secret, each in zip(secrets, working, strict=True) if each.result()]
        assert len(winners) == 1
        found = do(store.read(lambda tx: others.secret_of(tx, "an agent")))
        assert found == (generation + 1, winners[0])


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_of_changes_that_compare_and_swap_at_once_one_succeeds(
    place: Place, store: ClosableStore
) -> None:
    async def swap(number: int) -> bool:
        return await asyncio.to_thread(others.swap_secret, place, "an agent", 1, bytes([number]))

    async def scenario() -> list[bool]:
        await store.write(place.put("an agent", 100))
        return await asyncio.gather(*map(swap, range(6)))

    assert sorted(asyncio.run(scenario())) == [False] * 5 + [True]


@pytest.mark.parametrize("death", [others.die_after_the_answer, others.die_within_a_change])
def test_a_killed_process_leaves_all_that_it_acknowledged_and_no_half_of_a_change(
    place: Place, death: Callable[[Place], None]
) -> None:
    process = SPAWN.Process(target=death, args=(place,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -9
    with place.opened() as store:
        assert do(store.read(place.get("acknowledged"))) == 7
        assert do(store.read(place.get("first half"))) is None
        assert do(store.write(place.increment("acknowledged"), alone=["acknowledged"])) == 8
