"""A short sample of the campaign, with a fixed seed."""

import random

from .outcome import Outcome
from .power_cut import cut_at, run
from .recorded_life import live

FIRST_START = 20
"""Operations on the files until SQLite is in WAL mode, and some more."""


def test_a_power_cut_loses_no_acknowledged_rotation_and_leaves_nothing_half_done() -> None:
    outcome = run(10, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0


def test_a_power_cut_within_the_very_first_start_leaves_what_can_be_opened() -> None:
    outcome = Outcome()
    findings = cut_at(live("FULL"), set(range(FIRST_START)), random.Random(1), outcome)
    assert findings.damage == []
    assert outcome.points > 0
