"""A short sample of the campaign, with a fixed seed."""

from .client_points import run


def test_a_client_that_dies_or_whose_disk_fails_at_any_call_goes_on() -> None:
    outcome = run(1, seed=1, sample=6)
    assert outcome.violations == []
    assert outcome.points > 0
