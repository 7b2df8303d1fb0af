"""One answer is given again 20 times within an hour; those of earlier rotations don't count."""

from dataclasses import replace

import pytest

from keyturn.actions.issue_credentials import Issued, Pair
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.core.errors import TooManyReplays
from tests.actions.world import World, call, presented
from tests.storage.batches import do

REPEATS = 20


def rotate(world: World, pair: Pair, number: int) -> Issued:
    again = replace(presented(pair), idempotency_key=f"the-rotation-of-number-{number}")
    return do(rotate_own_credentials(world.service, call(), again))


def test_an_agent_that_loses_answers_again_and_again_is_never_stopped(world: World) -> None:
    pair = world.register().pair
    for number in range(3):
        for _ in range(REPEATS):
            rotate(world, pair, number)
        pair = rotate(world, pair, number).pair


def test_the_same_answer_is_given_again_only_20_times_within_an_hour(world: World) -> None:
    pair = world.register().pair
    for _ in range(1 + REPEATS):
        rotate(world, pair, 1)
    with pytest.raises(TooManyReplays):
        rotate(world, pair, 1)
    world.clock.wait(3_600_000)
    assert rotate(world, pair, 1).replayed is True
