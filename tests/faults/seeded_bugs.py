"""Bugs that are put in on purpose: the campaigns must see every one of them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from keyturn.testing import Server

from . import client_cuts, client_points, server_points, wire_points
from .client_bugs import CLIENT_BUGS
from .outcome import Outcome
from .scene import Cast, caught

RUNS = 1
POINTS = 40
"""How many a campaign may strike until it must have seen the bug."""
LOCKED_OUT = "LOCKED OUT"
ANSWER_LOST = r"lose.*answer"


@dataclass(frozen=True)
class Bug:
    """A bug, the campaign that must see it, where that strikes, and what it must then report."""

    name: str
    campaign: Callable[..., Outcome]
    at: str
    seen: str

    @property
    def cast(self) -> Cast:
        if self.name in CLIENT_BUGS:
            return Cast(self.name, at=self.at, seen=self.seen)
        program = (sys.executable, "-m", "tests.faults.server_bugs", self.name)
        return Cast(
            server=type("Buggy", (Server,), {"program": program}), at=self.at, seen=self.seen
        )


BUGS = (
    Bug("no_sync_of_the_directory", client_cuts.run, "", LOCKED_OUT),
    Bug("no_sync_of_the_file", client_cuts.run, "", LOCKED_OUT),
    Bug("written_in_place", client_points.run, "KILL at (write|fsync)", LOCKED_OUT),
    Bug("leftovers_stay", client_points.run, "KILL at (write|fsync|rename)", "files are left"),
    Bug("another_idempotency_key_for_each_start", wire_points.run, ANSWER_LOST, LOCKED_OUT),
    Bug("sent_before_it_is_written", wire_points.run, ANSWER_LOST, LOCKED_OUT),
    Bug("used_before_it_is_saved", client_points.run, "KILL at (openat|write|rename)", LOCKED_OUT),
    Bug("given_up_on_an_error_of_the_server", server_points.run, "EIO.*sync", LOCKED_OUT),
    Bug("thrown_away_when_refused", wire_points.run, "", "thrown away"),
    Bug("answered_before_the_commit", server_points.run, "KILL.*keyturn.db-wal", LOCKED_OUT),
    Bug("commits_are_not_synced", server_points.run, "", "nothing had been fsynced"),
    Bug("burnt_by_a_wrong_guess", wire_points.run, "", "right repeat, after wrong ones"),
    Bug("burnt_by_the_first_repeat", wire_points.run, "", "right repeat, after wrong ones"),
    Bug("older_rotations_are_repeated", wire_points.run, "", "rotation before the last"),
    Bug("repeated_after_a_revocation", wire_points.run, "", "rotation after revoke"),
    Bug("repeated_after_a_developer_rotated", wire_points.run, "", "rotation after rotate-key"),
    Bug("first_use_is_not_noticed", wire_points.run, "", "whose key is in use"),
    Bug("repeated_for_any_idempotency_key", wire_points.run, "", "guessed idempotency key"),
    Bug("old_key_lives_for_a_second", wire_points.run, "", "key 1 of 2 answers 200"),
    Bug("no_compare_and_swap", wire_points.run, "", "two at once"),
    Bug("recorded_after_the_commit", server_points.run, "KILL.*keyturn.db-wal", "entries of rot"),
    Bug("kept_after_the_commit", server_points.run, "KILL.*keyturn.db-wal", LOCKED_OUT),
)


def run(runs: int, seed: int) -> Outcome:
    """See every bug, each of them `runs` times."""
    return see(BUGS, runs, seed)


def see(bugs: tuple[Bug, ...], runs: int, seed: int) -> Outcome:
    """Run the campaign of each bug until it sees the bug."""
    outcome = Outcome()
    for number in range(runs):
        for bug in bugs:
            found = bug.campaign(1, seed + number, sample=POINTS, cast=bug.cast)
            seen = caught(found, bug.seen)
            outcome.check(seen, f"{bug.name}: not seen in {found.runs} runs")
            outcome.note("bugs seen", int(seen))
            outcome.runs += found.runs
    return outcome
