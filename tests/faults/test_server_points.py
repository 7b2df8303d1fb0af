"""A short sample of the campaign, with a fixed seed."""

from .server_points import run


def test_a_server_that_dies_or_whose_disk_fails_at_any_write_locks_nobody_out() -> None:
    outcome = run(1, seed=1, sample=2)
    assert outcome.violations == []
    assert outcome.points > 0
