"""The overview counts a day's rotations once and for an hour, and is right all the same."""

import pytest

from keyturn.actions.overview import DAYS, overview
from keyturn.actions.rotate_credentials import rotate_for_developer
from keyturn.core.agent import DAY
from tests.actions.world import MINUTE, START, World, call
from tests.storage.batches import do

MIDNIGHT = START // DAY * DAY + DAY


def counts(world: World) -> list[int]:
    """Of each day up to today, by whomever."""
    made = do(overview(world.service, world.reader))
    assert len(made.rotations) == DAYS
    return [day.by_agents + day.by_developers for day in made.rotations]


def rotate(world: World, at: int) -> None:
    """As a server does whose clock says this."""
    agent_id = world.register().agent_id
    now, world.clock.now = world.clock.now, at
    do(rotate_for_developer(world.service, call(), world.operator, agent_id))
    world.clock.now = now


def test_a_rotation_that_comes_late_is_counted_on_its_own_day(world: World) -> None:
    world.clock.now = MIDNIGHT + MINUTE
    assert counts(world)[-2:] == [0, 0]
    rotate(world, at=MIDNIGHT - 1)
    assert counts(world)[-2:] == [1, 0]


def test_a_day_that_is_long_over_is_not_counted_again_within_the_hour(world: World) -> None:
    world.clock.now = MIDNIGHT + 90 * MINUTE
    assert counts(world)[-2:] == [0, 0]
    rotate(world, at=MIDNIGHT - 1)
    rotate(world, at=MIDNIGHT)
    assert counts(world)[-2:] == [0, 1]
    world.clock.wait(60 * MINUTE)
    assert counts(world)[-2:] == [1, 1]


@pytest.mark.parametrize("days", [2, 40])
def test_a_clock_that_was_ahead_hides_no_rotation(world: World, days: int) -> None:
    world.clock.now = MIDNIGHT + days * DAY
    counts(world)
    world.clock.now = MIDNIGHT
    rotate(world, at=MIDNIGHT)
    world.clock.wait(days=1)
    assert counts(world)[-2:] == [1, 0]


def test_what_is_kept_of_many_developers_has_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.overview.MAX_KEPT", DAYS)
    for number in range(3):
        _, ada = world.developer(f"ada{number}@example.com")
        do(overview(world.service, ada))
    assert len(world.service.rotations) <= DAYS
