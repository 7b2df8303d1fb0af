"""The steps of a move after which something is different."""

from .moves import DECISIVE, run


def test_a_move_that_is_killed_leaves_the_service_in_one_place_and_can_be_finished() -> None:
    outcome = run(0, seed=1, only=DECISIVE)
    assert outcome.violations == []
    assert outcome.notes == {"was here": 3, "was nowhere": 2, "was there": 1}
