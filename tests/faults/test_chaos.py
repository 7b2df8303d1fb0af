"""A short sample of the campaign, with a fixed seed."""

from .chaos import run


def test_when_everything_fails_at_random_nobody_is_locked_out() -> None:
    outcome = run(4, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
