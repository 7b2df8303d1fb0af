"""A short sample of the campaign, with a fixed seed."""

from .kill import run


def test_a_kill_at_any_moment_loses_no_acknowledged_rotation() -> None:
    outcome = run(4, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
