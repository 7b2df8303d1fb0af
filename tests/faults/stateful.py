"""The state machine of tests/stateful, long."""

import traceback

from tests.stateful.drive import drive
from tests.stateful.world import new_world

from .outcome import Outcome

RUNS = 60
STEPS = 40


def run(runs: int, seed: int) -> Outcome:
    """Drive a server of 1 process through `runs` examples, then one of 4."""
    outcome = Outcome()
    for workers in (1, 4):
        with new_world(workers) as world:
            try:
                drive(world, examples=runs, steps=STEPS, seeded=seed, shrink=True)
            except Exception as error:  # Whatever it is, it is a difference.
                traceback.print_exc()
                outcome.violations.append(f"{workers} workers: {type(error).__name__}")
        outcome.runs += runs
        outcome.points += world.requests
    return outcome
