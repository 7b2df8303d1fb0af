"""A short sample of the campaign, with a fixed seed."""

from .wire_points import run


def test_a_network_that_breaks_at_any_byte_locks_nobody_out() -> None:
    outcome = run(1, seed=1, sample=10)
    assert outcome.violations == []
    assert outcome.points > 0
