"""A short sample of the campaign, with a fixed seed."""

from .storage import run


def test_a_disk_that_fails_gives_503_and_leaves_nothing_half_done() -> None:
    outcome = run(1, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
