"""A short sample of the campaign, with a fixed seed."""

import random

from .failover import fail_over


def test_a_standby_that_takes_over_has_all_that_was_acknowledged() -> None:
    outcome = fail_over("several hosts", 1, random.Random(1))
    assert outcome.violations == []
    assert outcome.points > 0
