"""A short sample of the campaign, with a fixed seed."""

from .server_points import strike


def test_a_server_that_dies_or_whose_disk_fails_at_any_write_locks_nobody_out() -> None:
    outcome = strike(1, 3, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
