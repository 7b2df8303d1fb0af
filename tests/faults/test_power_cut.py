"""A short sample of the campaign, with a fixed seed."""

from .power_cut import run


def test_a_power_cut_loses_no_acknowledged_rotation_and_leaves_nothing_half_done() -> None:
    outcome = run(10, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
