"""A short sample of the campaign, with a fixed seed."""

# By its whole name: what the client's process records is unpickled as that module's.
from tests.faults.client_cuts import run


def test_a_power_cut_within_a_rotation_leaves_a_file_that_is_enough() -> None:
    outcome = run(1, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
