"""A few of the bugs, with a fixed seed; the campaign has all of them."""

import pytest

# By their whole names: what the client's process records is unpickled as theirs.
from tests.faults.client_bugs import CLIENT_BUGS
from tests.faults.seeded_bugs import BUGS, see
from tests.faults.server_bugs import SERVER_BUGS

QUICK = ("no_sync_of_the_directory", "commits_are_not_synced")


@pytest.mark.parametrize("name", QUICK)
def test_a_bug_is_seen(name: str) -> None:
    outcome = see(tuple(bug for bug in BUGS if bug.name == name), 1, seed=1)
    assert outcome.violations == []
    assert outcome.points == 1


def test_every_bug_has_a_campaign() -> None:
    assert sorted(bug.name for bug in BUGS) == sorted([*CLIENT_BUGS, *SERVER_BUGS])
