"""Every first use is written; later ones as room allows."""

from dataclasses import replace

import pytest

from keyturn.actions.note_use import note_key_use, write_uses
from keyturn.actions.pending_uses import ROUND, STALE, WAITING, PendingUses, Use
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.core.errors import Unavailable
from tests.actions.world import Around, World, call, presented
from tests.storage.batches import do


def full(uses: PendingUses, places: int) -> PendingUses:
    for number in range(places):
        uses.later["agent", f"{number}"] = Use(number)
    return uses


ROOM = {
    "an empty round has room for a use of a moment ago": (0, "x", 1, True),
    "a full round has none for it": (ROUND, "x", STALE - 1, False),
    "but for one that waits already": (ROUND, "5", 1, True),
    "and for one whose time on record is a minute old": (ROUND, "x", STALE, True),
    "until as many wait as may": (WAITING, "x", STALE, False),
}


@pytest.mark.parametrize("case", ROOM)
def test_room(case: str) -> None:
    waiting, name, age, expected = ROOM[case]
    assert full(PendingUses(), waiting).has_room(("agent", name), age) is expected


def test_a_round_writes_so_many_later_uses_and_all_first_ones() -> None:
    uses = full(PendingUses(), 3 * ROUND)
    for number in range(2 * ROUND + 1):
        uses.first["agent", f"new {number}"] = Use(number)
    batches = [len(batch) for _, batch in uses.take()]
    assert batches == [ROUND, ROUND, ROUND, 1]
    assert (len(uses.first), len(uses.later)) == (0, 2 * ROUND)


def test_a_batch_that_was_not_written_is_written_by_the_next_round(world: World) -> None:
    made = world.register()
    agent = world.agent(made.agent_id)

    async def fail() -> None:
        raise Unavailable("in this test")

    broken = replace(world.service, store=Around(world.service.store, before=fail))
    note_key_use(broken, call(), agent, made.pair.api_key)
    with pytest.raises(Unavailable):
        do(write_uses(broken))
    assert world.agent(made.agent_id).last_used_at is None
    do(write_uses(world.service))
    assert world.agent(made.agent_id).last_used_at == world.clock.now


def test_a_use_of_the_old_key_never_counts_for_the_new_one(world: World) -> None:
    made = world.register()
    old = world.agent(made.agent_id)
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    world.clock.wait(5)
    note_key_use(world.service, call(), old, made.pair.api_key)
    do(write_uses(world.service))
    assert not world.agent(made.agent_id).key_was_used
