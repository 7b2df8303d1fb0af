"""A short run of the state machine, the same every time; `make faults` has the long one."""

import pytest

from .drive import drive
from .world import new_world


@pytest.mark.parametrize(("workers", "examples"), [(1, 4), (3, 1)])
def test_the_server_does_what_the_model_says_whatever_happens_to_it(
    workers: int, examples: int
) -> None:
    with new_world(workers) as world:
        drive(world, examples=examples, steps=25, seeded=3, shrink=False)
