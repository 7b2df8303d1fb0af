"""The writing thread, on a connection that does what the test says."""

import asyncio
import threading

import pytest

from keyturn.core.errors import AgentRevoked, Unavailable
from keyturn.storage import group_commit
from keyturn.storage.group_commit import BATCH, CommitFailed
from keyturn.storage.store import Transaction
from tests.storage.batches import PATIENCE, Gate, do, outcomes, together, waiting
from tests.storage.fake_connection import World, keep, kinds, refuse

SOON = 2.0
"""Seconds within which an answer comes that does not have to wait for anything."""


def test_changes_that_wait_together_are_committed_together(world: World) -> None:
    assert do(together(world, *map(keep, range(5)))) == list(range(5))
    # The first commit is that of the change which they waited for.
    assert world.connection.done.count("commit") == 2
    assert world.connection.kept == list(range(5))


def test_more_changes_than_a_batch_takes_are_committed_in_several(world: World) -> None:
    count = 2 * BATCH + 1
    assert do(together(world, *map(keep, range(count)))) == list(range(count))
    assert world.connection.done.count("commit") == 4
    assert world.connection.kept == list(range(count))


def test_a_refusal_is_undone_and_its_neighbours_are_kept(world: World) -> None:
    error = AgentRevoked()
    found = do(together(world, keep(1), refuse(error), keep(2)))
    assert found == [1, error, 2]
    assert world.connection.kept == [1, 2]


def test_a_refusal_that_wrote_nothing_needs_no_savepoint_and_no_second_run(world: World) -> None:
    error = AgentRevoked()

    def refuse_at_once(_tx: Transaction) -> None:
        raise error

    assert do(together(world, keep(1), refuse_at_once, keep(2))) == [1, error, 2]
    assert world.connection.kept == [1, 2]
    assert not {"savepoint", "rollback"} & set(world.connection.done)


def test_a_refusal_of_the_first_run_does_not_stand_where_the_second_run_accepts(
    world: World,
) -> None:
    runs: list[int] = []

    def refuse_once(_tx: Transaction) -> int:
        runs.append(len(runs))
        if runs == [0]:
            raise AgentRevoked
        return 7

    found = do(together(world, refuse_once, refuse(AgentRevoked())))
    assert (found[0], type(found[1])) == (7, AgentRevoked)


FAILING_STEPS = ["begin", "savepoint", "release", "rollback to savepoint", "commit"]


@pytest.mark.parametrize("step", [*FAILING_STEPS, "flush"])
def test_where_the_database_does_not_answer_nothing_is_kept_and_it_goes_on(
    world: World, step: str
) -> None:
    async def scenario() -> None:
        world.connection.failing[step] = Unavailable("the disk is full")
        refused = AgentRevoked()
        found = await outcomes(await waiting(world, keep(1), refuse(refused), keep(2)))
        assert kinds(found)[0] is kinds(found)[2] is Unavailable
        assert world.connection.kept == []
        world.connection.failing.clear()
        assert await world.write(keep(3)) == 3
        assert world.connection.kept == [3]

    do(scenario())
    assert world.lost == 0


def test_what_was_refused_because_of_a_change_that_is_not_kept_is_unavailable(
    world: World,
) -> None:
    world.connection.failing["commit"] = Unavailable("the disk is full")
    found = do(together(world, keep(1), refuse(AgentRevoked())))
    assert kinds(found) == [Unavailable, Unavailable]


def test_a_lost_commit_is_unavailable_to_everyone_who_waits_and_told_once(world: World) -> None:
    async def scenario() -> None:
        gate = Gate()
        [held] = await waiting(world, gate)
        await gate.entered()
        world.connection.failing["commit"] = CommitFailed("fsync failed")
        queued = await waiting(world, *map(keep, range(2 * BATCH)))
        gate.open()
        found = await outcomes([held, *queued])
        assert set(kinds(found)) == {Unavailable}
        assert world.connection.kept == []
        world.connection.failing.clear()
        for _ in range(3):
            assert kinds(await outcomes(await waiting(world, keep(1)))) == [Unavailable]

    do(scenario())
    assert world.lost == 1
    assert world.lost_in == {"writer under test"}
    assert world.connection.kept == []
    assert world.connection.done.count("commit") == 1


@pytest.mark.parametrize("step", [*FAILING_STEPS, "after commit"])
def test_after_a_failure_that_nobody_foresaw_no_one_waits_for_ever_and_nothing_is_written(
    world: World, step: str
) -> None:
    async def scenario() -> None:
        world.connection.failing[step] = ZeroDivisionError("a defect of ours")
        await outcomes(await waiting(world, keep(1), refuse(AgentRevoked())))
        await asyncio.to_thread(world.told.wait)  # After a commit the answers come first.
        kept = list(world.connection.kept)
        world.connection.failing.clear()
        assert kinds(await outcomes(await waiting(world, keep(2)))) == [Unavailable]
        assert world.connection.kept == kept

    do(scenario())
    assert world.lost == 1


def test_too_many_waiting_changes_are_unavailable_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 4)
    small = World()

    async def scenario() -> None:
        gate = Gate()
        [held] = await waiting(small, gate)
        await gate.entered()
        tasks = await waiting(small, *map(keep, range(6)))
        refused = [task for task in tasks if task.done()]
        assert kinds(await outcomes(refused)) == [Unavailable, Unavailable]
        gate.open()
        await held
        assert await outcomes(tasks[:4]) == [0, 1, 2, 3]
        assert await small.write(keep(9)) == 9

    do(scenario())
    small.writer.close()
    assert small.connection.kept == [0, 1, 2, 3, 9]


def test_a_change_that_has_waited_too_long_is_not_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.writer, "_patience", 0.05)

    async def scenario() -> None:
        gate = Gate()
        held = await waiting(world, gate)
        await gate.entered()
        late = await waiting(world, keep(1), keep(2))
        await asyncio.sleep(0.1)
        in_time = await waiting(world, keep(3))
        gate.open()
        assert kinds(await outcomes(held + late + in_time)) == [
            type(None), Unavailable, Unavailable, int,
        ]  # fmt: skip

    asyncio.run(scenario())
    assert world.connection.kept == [3]


def test_closing_finishes_what_waits_and_ends_the_connection(world: World) -> None:
    async def scenario() -> None:
        gate = Gate()
        await waiting(world, gate)
        await gate.entered()
        tasks = await waiting(world, *map(keep, range(BATCH + 5)))
        closing = asyncio.create_task(asyncio.to_thread(world.writer.close))
        await asyncio.wait([closing], timeout=0.05)
        assert not closing.done()
        gate.open()
        assert await outcomes(tasks) == list(range(BATCH + 5))
        await closing

    do(scenario())
    assert world.connection.done[-1] == "close"


def test_a_change_after_closing_is_unavailable(world: World) -> None:
    async def scenario() -> None:
        world.writer.close()
        async with asyncio.timeout(SOON):
            with pytest.raises(Unavailable):
                await world.write(keep(1))

    do(scenario())


def test_whoever_stops_waiting_does_not_stop_the_others(world: World) -> None:
    async def scenario() -> None:
        gate = Gate()
        [held] = await waiting(world, gate)
        await gate.entered()
        tasks = await waiting(world, keep(1), keep(2), keep(3))
        tasks[1].cancel()
        gate.open()
        await held
        found = await outcomes(tasks)
        assert (found[0], found[2]) == (1, 3)
        assert isinstance(found[1], asyncio.CancelledError)

    do(scenario())
    assert world.connection.kept == [1, 2, 3]


def test_a_loop_that_is_gone_does_not_stop_the_writer(world: World) -> None:
    gate = Gate()

    async def leave() -> None:
        task = asyncio.ensure_future(world.write(gate))
        await gate.entered()
        task.cancel()

    do(leave())
    gate.open()
    assert do(world.write(keep(1))) == 1


def test_changes_of_several_loops_are_each_answered_in_their_own(world: World) -> None:
    found: list[int] = []

    def one_loop(start: int) -> None:
        async def scenario() -> None:
            tasks = await waiting(world, *map(keep, range(start, start + 20)))
            found.extend(await outcomes(tasks))

        do(scenario())

    threads = [threading.Thread(target=one_loop, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    expected = [number for start in (0, 100, 200) for number in range(start, start + 20)]
    assert sorted(found) == sorted(world.connection.kept) == expected
