"""A short sample of the campaign, with a fixed seed."""

from .dead_at_once import run


def test_the_old_pair_is_dead_on_every_worker_from_the_first_request_on() -> None:
    outcome = run(80, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
