"""A short sample of the campaign, with a fixed seed."""

from .client_points import strike


def test_a_client_that_dies_or_whose_disk_fails_at_any_call_goes_on() -> None:
    outcome = strike(1, 8, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
