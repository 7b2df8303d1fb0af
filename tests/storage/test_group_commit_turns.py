"""Changes whose names another process has to itself: who waits, and who goes on."""

import asyncio
from itertools import pairwise

import pytest

from keyturn.core.errors import Unavailable
from tests.storage.batches import do, outcomes, waiting
from tests.storage.fake_connection import World, keep, kinds


def test_who_is_held_up_lets_the_others_go_on_and_has_its_turn_when_it_comes(
    world: World,
) -> None:
    world.connection.taken = {"a"}

    async def scenario() -> None:
        held_up = await waiting(world, keep(1), keep(2), alone=["a", "b"])
        for number in range(3, 6):
            assert await world.write(keep(number), alone=["b"]) == number
        assert not any(task.done() for task in held_up)
        world.connection.taken = set()
        assert await outcomes(held_up) == [1, 2]

    do(scenario())
    assert world.connection.kept[:3] == [3, 4, 5]
    assert sorted(world.connection.kept[3:]) == [1, 2]


def test_the_first_who_is_held_up_is_waited_for_in_turn_with_all_the_others(world: World) -> None:
    world.connection.taken = {"a", "b"}

    async def scenario() -> None:
        held_up = [
            *await waiting(world, keep(1), alone="a"),
            *await waiting(world, keep(2), alone="b"),
        ]
        await world.write(keep(3))
        await world.write(keep(4))
        world.connection.taken = set()
        await outcomes(held_up)

    do(scenario())
    waits = world.connection.waited_for
    assert {"a"} in waits
    assert {"b"} in waits
    assert not any(one and other for one, other in pairwise(waits))


def test_who_is_held_up_for_another_name_is_not_behind_the_first(world: World) -> None:
    world.connection.taken = {"a", "b"}

    async def scenario() -> None:
        first = await waiting(world, keep(1), alone=["a"])
        [second] = await waiting(world, keep(2), alone=["b"])
        await world.write(keep(0))
        world.connection.taken = {"a"}
        assert await second == 2
        world.connection.taken = set()
        assert await outcomes(first) == [1]

    do(scenario())


def test_who_is_held_up_for_too_long_is_unavailable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.writer, "_turn", 0.05)
    world.connection.taken = {"a"}

    async def scenario() -> None:
        found = await outcomes(await waiting(world, keep(1), alone=["a"]))
        assert kinds(found) == [Unavailable]

    do(scenario())
    assert world.connection.kept == []


def test_closing_waits_for_the_turn_of_who_is_held_up(world: World) -> None:
    world.connection.taken = {"a"}

    async def scenario() -> None:
        held_up = await waiting(world, keep(1), alone=["a"])
        await world.write(keep(2))
        closing = asyncio.create_task(asyncio.to_thread(world.writer.close))
        await asyncio.wait([closing], timeout=0.05)
        assert not closing.done()
        world.connection.taken = set()
        assert await outcomes(held_up) == [1]
        await closing

    do(scenario())
