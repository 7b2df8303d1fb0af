"""A clock that is wrong for a while must not cost what is gone for good."""

from dataclasses import replace

import pytest

from keyturn.actions.keep_house import MAX_DRIFT, Housekeeping
from keyturn.actions.service import Service
from keyturn.core.agent import DAY
from tests.actions.world import World
from tests.storage.batches import do

AGE = 31


def _keeps_audit_for_a_day(world: World) -> Service:
    policy = replace(world.service.policy, audit_retention_days=1)
    return replace(world.service, policy=policy)


@pytest.mark.parametrize(
    ("moved", "expires"),
    [
        ("time has passed", True),
        ("the wall clock has jumped ahead", False),
        ("the wall clock has jumped by less than a minute", True),
    ],
)
def test_what_has_expired_goes_only_by_a_clock_that_runs(
    world: World, moved: str, expires: bool
) -> None:
    service = _keeps_audit_for_a_day(world)
    monotonic = [1000.0]
    house = Housekeeping(lambda: monotonic[0])
    do(house.run(service))
    agent = world.register()
    world.clock.wait(days=AGE)
    if moved != "the wall clock has jumped ahead":
        monotonic[0] += AGE * DAY / 1000
    if moved == "the wall clock has jumped by less than a minute":
        world.clock.wait(MAX_DRIFT - 1)
    do(house.run(service))
    assert world.exists(agent.agent_id) is not expires
    assert (world.trail(action="agent.registered") == []) is expires


def test_a_clock_that_is_right_again_lets_things_expire(world: World) -> None:
    monotonic = [0.0]
    house = Housekeeping(lambda: monotonic[0])
    do(house.run(world.service))
    agent = world.register()
    world.clock.wait(days=AGE)
    do(house.run(world.service))
    assert world.exists(agent.agent_id)
    monotonic[0] += AGE * DAY / 1000
    do(house.run(world.service))
    assert not world.exists(agent.agent_id)
