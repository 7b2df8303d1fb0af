"""A short sample of the campaign, with a fixed seed."""

from .race import run


def test_a_race_of_25_rotations_has_exactly_one_winner() -> None:
    outcome = run(8, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
