"""Runs the whole machine."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .losing import Losing
from .world import World


def drive(world: World, *, examples: int, steps: int, seeded: int, shrink: bool) -> None:
    """Run that many examples of that many steps, and raise the first difference.

    To `shrink` it to its fewest steps takes minutes, for servers restart again and again.
    """
    driven = seed(seeded)(type("Driven", (Losing,), {"world": world}))
    run_state_machine_as_test(
        driven,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            database=None,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            deadline=None,
            # Restarting a server is slow, and is the point.
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
