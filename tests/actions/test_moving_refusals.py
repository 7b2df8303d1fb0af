"""Refusals on their way to the trail arrive once, whatever interrupts them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from keyturn.actions.authenticate import authenticate_developer
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.core.audit_trail import Entry
from keyturn.core.errors import InvalidCredentials, InvalidToken, Unavailable
from tests.actions.world import MINUTE, Around, World, bearer, call
from tests.storage.batches import do

ADDRESS = "203.0.113.7"


class Interruption:
    """Fails at the n-th time that it is come to."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self.times == self._at:
            raise Unavailable("interrupted")


def interrupted(service: Service, place: str, interruption: Interruption) -> Service:
    """The service, with this interruption before or after the writes of one of its stores."""
    store, _, when = place.partition(" ")
    before: Callable[[], Awaitable[object]] | None = interruption if when == "before" else None
    after = interruption if when == "after" else None
    if store == "store":
        return replace(service, store=Around(service.store, before, after))
    return replace(service, limits=Around(service.limits, before, after))


def refuse(world: World) -> None:
    """Three refusals that name an agent, and five of one address that name nobody."""
    made = world.register()
    wrong = Presented(bearer(made.pair), "sk_live_rs_" + "0" * 49)
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            do(rotate_own_credentials(world.service, call(), wrong))
    for _ in range(5):
        with pytest.raises(InvalidToken):
            do(authenticate_developer(world.service, call(ADDRESS), "Bearer nobody"))


def refusals(world: World) -> list[Entry]:
    return [entry for entry in world.trail() if entry.outcome == "refused"]


STEPS = [
    ("limits before", 1),
    ("limits after", 1),
    ("store before", 1),
    ("store after", 1),
    ("limits before", 2),
    ("limits after", 2),
]


@pytest.mark.parametrize(("place", "at"), STEPS, ids=str)
def test_an_interruption_at_any_step_loses_and_doubles_nothing(
    world: World, place: str, at: int
) -> None:
    refuse(world)
    interruption = Interruption(at)
    with pytest.raises(Unavailable):
        do(move_refusals_to_trail(interrupted(world.service, place, interruption)))
    assert interruption.times == at
    world.clock.wait(500)
    found = refusals(world)
    assert len(found) == 4
    assert sum(1 for entry in found if entry.agent_id is not None) == 3
    # The four that were only counted are told when their window is over.
    world.clock.wait(15 * MINUTE)
    assert [entry.details.get("count") for entry in refusals(world)][4:] == [4]


@pytest.mark.parametrize(("place", "at"), STEPS, ids=str)
def test_an_interruption_while_a_window_closes_tells_its_count_once(
    world: World, place: str, at: int
) -> None:
    refuse(world)
    refusals(world)
    world.clock.wait(15 * MINUTE)
    with pytest.raises(Unavailable):
        do(move_refusals_to_trail(interrupted(world.service, place, Interruption(at))))
    world.clock.wait(500)
    assert [entry.details.get("count") for entry in refusals(world)][4:] == [4]


def test_moving_again_changes_nothing(world: World) -> None:
    refuse(world)
    before = refusals(world)
    for _ in range(3):
        do(move_refusals_to_trail(world.service))
    assert refusals(world) == before


def test_processes_that_move_at_once_write_each_entry_once(world: World) -> None:
    services = [world.service, world.process(), world.process()]

    async def all_at_once() -> None:
        await asyncio.gather(*map(move_refusals_to_trail, services * 3))

    for _ in range(5):
        refuse(world)
    do(all_at_once())
    found = refusals(world)
    assert len({entry.id for entry in found}) == len(found) == 5 * 3 + 1


def test_more_refusals_than_are_folded_at_once_are_all_moved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.move_refusals.REFUSALS_AT_ONCE", 4)
    monkeypatch.setattr("keyturn.actions.move_refusals.ENTRIES_AT_ONCE", 2)
    for _ in range(3):
        refuse(world)
    assert len(refusals(world)) == 3 * 3 + 1
    world.clock.wait(15 * MINUTE)
    assert refusals(world)[-1].details["count"] == 14
