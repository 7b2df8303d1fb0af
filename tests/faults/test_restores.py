"""A short sample of the campaign, with a fixed seed."""

import pytest

from .restores import run

WAYS = ["a missing log", "a torn fence"]
"""The other ways are the campaign's, and have tests of their own."""


@pytest.mark.parametrize("way", WAYS)
def test_a_restore_of_an_older_state_brings_back_no_retired_credential(way: str) -> None:
    outcome = run(1, seed=1, ways=[way])
    assert outcome.violations == []
    assert outcome.points > 0
