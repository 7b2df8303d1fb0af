"""A short sample of the campaign, with a fixed seed."""

from .dead_checks import run


def test_the_old_key_is_dead_for_every_check_of_every_worker_from_the_first_on() -> None:
    outcome = run(15, seed=1)
    assert outcome.violations == []
    assert outcome.points > 15_000
