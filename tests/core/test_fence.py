"""The fence's marks and lines, as plain values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keyturn.core.fence import (
    ENDED,
    DamagedFence,
    Mark,
    Marks,
    Position,
    Record,
    Subject,
    agent_record,
    ahead,
    behind,
    collect,
    end_record,
    read_header,
    read_records,
    token_record,
    write_header,
    write_records,
)

OURS = "0123456789abcdef" * 2
AGENT, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))

LATER = {
    "the next generation": (agent_record(AGENT, 4, "active"), agent_record(AGENT, 5, "active")),
    "quarantine": (agent_record(AGENT, 4, "active"), agent_record(AGENT, 4, "quarantined")),
    "revocation": (agent_record(AGENT, 4, "quarantined"), agent_record(AGENT, 4, "revoked")),
    "reinstatement": (agent_record(AGENT, 4, "revoked"), agent_record(AGENT, 5, "active")),
    "deletion": (agent_record(AGENT, 10**9, "revoked"), end_record("agent", AGENT)),
    "one more use of a token": (token_record(AGENT, 1), token_record(AGENT, 2)),
    "deletion of a token": (token_record(AGENT, 9), end_record("token", AGENT)),
}


@pytest.mark.parametrize("what", LATER)
def test_what_came_later_is_the_greater_mark(what: str) -> None:
    before, after = LATER[what]
    assert before[1] < after[1]
    assert collect([after, before, after]) == dict([after])


@pytest.mark.parametrize("what", LATER)
def test_a_store_with_the_earlier_state_is_behind_and_no_other_is(what: str) -> None:
    before, after = LATER[what]
    assert behind(dict([after]), dict([before])) == dict([after])
    assert behind(dict([after]), dict([after])) == {}
    assert behind(dict([before]), dict([after])) == {}


def test_what_the_store_does_not_have_is_not_behind() -> None:
    assert behind(dict([agent_record(AGENT, 9, "active")]), {}) == {}


NEW = {
    "an agent as it was made": agent_record(AGENT, 1, "active"),
    "a token that nobody has used": token_record(AGENT, 0),
    "an active developer": (Subject("developer", AGENT), Mark(ended=False)),
}


@pytest.mark.parametrize("what", NEW)
def test_what_has_retired_nothing_yet_needs_no_mark(what: str) -> None:
    assert ahead({}, dict([NEW[what]])) == []


@pytest.mark.parametrize("what", LATER)
def test_what_has_no_mark_yet_or_an_older_one_gets_one(what: str) -> None:
    before, after = LATER[what]
    assert ahead({}, dict([after])) == [after]
    assert ahead(dict([before]), dict([after])) == [after]
    assert ahead(dict([after]), dict([after])) == []


def fence(*units: list[Record]) -> bytes:
    """A whole fence with a line for each of these."""
    content, end = write_header(OURS)
    for unit in units:
        line, end = write_records(unit, end)
        content += line
    return content


def read(content: bytes) -> list[Record]:
    installation, start = read_header(content)
    assert installation == OURS
    return read_records(content[start.length :], start)[0]


UNITS = [
    [agent_record(AGENT, 2, "active"), token_record(OTHER, 3)],
    [],
    [end_record("developer", OTHER)],
]
WHOLE = fence(*UNITS)
LINES = WHOLE.splitlines(keepends=True)


def test_what_is_read_is_what_was_written_and_where_it_ends() -> None:
    assert read(WHOLE) == [record for unit in UNITS for record in unit]
    _, start = read_header(WHOLE)
    middle = start.length + len(LINES[1])
    first, end = read_records(WHOLE[start.length : middle], start)
    rest, last = read_records(WHOLE[middle:], end)
    assert (end.length, last.length) == (middle, len(WHOLE))
    assert first + rest == read(WHOLE)


@pytest.mark.parametrize("kept", range(len(LINES[-1])))
def test_a_last_line_that_is_torn_is_left_out(kept: int) -> None:
    assert read(b"".join(LINES[:-1]) + LINES[-1][:kept]) == UNITS[0]


@pytest.mark.parametrize("at", range(len(LINES[-1]) - 1))
def test_a_last_line_of_which_a_part_was_not_written_is_left_out(at: int) -> None:
    torn = LINES[-1][:at] + b"\0" + LINES[-1][at + 1 :]
    assert read(b"".join(LINES[:-1]) + torn) == UNITS[0]


# But the line break: without it, the last line is all that comes after the one before.
@pytest.mark.parametrize("at", range(len(WHOLE) - len(LINES[-1]) - 1))
def test_damage_anywhere_before_the_last_line_is_seen(at: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= 1
    with pytest.raises(DamagedFence):
        read(bytes(damaged))


DAMAGED = {
    "nothing": b"",
    "half a first line": LINES[0][:20],
    "another kind of file": b"something else 01234567\n",
    "no first line of a fence": write_records(UNITS[0], Position(0, 0))[0],
    "a line missing": LINES[0] + b"".join(LINES[2:]) + LINES[1],
    "a line twice": LINES[0] + LINES[1] + WHOLE[len(LINES[0]) :],
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_no_whole_fence_is_refused(what: str) -> None:
    with pytest.raises(DamagedFence):
        read(DAMAGED[what])


def test_a_record_of_a_kind_that_this_version_does_not_know_is_refused() -> None:
    unknown: Any = (Subject("agent", "another form of id"), ENDED)
    with pytest.raises(DamagedFence, match="another version"):
        read(fence([unknown]))


MADE = dict([agent_record(AGENT, 1, "active"), token_record(AGENT, 0)])
subjects = st.sampled_from(list(MADE))
marks = st.builds(Mark, st.booleans(), st.integers(0, 3), st.integers(0, 2))
units = st.lists(st.lists(st.tuples(subjects, marks), max_size=3), max_size=5)


@given(units, st.data())
def test_a_cut_loses_only_whole_last_lines(units: list[list[Record]], data: st.DataObject) -> None:
    content = fence(*units)
    header = content.index(b"\n") + 1
    cut = data.draw(st.integers(header, len(content)))
    whole = content[:cut].count(b"\n") - 1
    assert read(content[:cut]) == [record for unit in units[:whole] for record in unit]


class Installation(RuleBasedStateMachine):
    """A store that is changed, crashes before it has marked, and is put back to older states."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Marks = dict(MADE)
        self.fence = fence()
        self.answered: Marks = {}
        self.copies: list[Marks] = [self.kept]

    @rule(subject=subjects, mark=marks, crash=st.booleans())
    def change(self, subject: Subject, mark: Mark, crash: bool) -> None:
        """Something goes on; whoever crashes after the commit answers nobody."""
        if mark <= self.kept[subject]:
            return
        self.kept = {**self.kept, subject: mark}
        if not crash:
            self._mark([(subject, mark)])
            self.answered[subject] = max(mark, self.answered.get(subject, mark))

    @rule()
    def copy(self) -> None:
        self.copies.append(self.kept)

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        older = data.draw(st.sampled_from(self.copies))
        self.kept = {**older, **behind(collect(read(self.fence)), older)}

    @rule()
    def start(self) -> None:
        marks = collect(read(self.fence))
        assert behind(marks, self.kept) == {}
        self._mark(ahead(marks, self.kept))

    @rule(torn=st.binary(max_size=30).filter(lambda torn: b"\n" not in torn))
    def crash_within_a_mark(self, torn: bytes) -> None:
        _, end = self._end()
        self.fence = self.fence[: end.length] + torn

    @invariant()
    def nothing_that_was_answered_is_undone(self) -> None:
        for subject, mark in self.answered.items():
            assert self.kept[subject] >= mark

    def _mark(self, records: list[Record]) -> None:
        _, end = self._end()
        line, _ = write_records(records, end)
        self.fence = self.fence[: end.length] + line

    def _end(self) -> tuple[list[Record], Position]:
        _, start = read_header(self.fence)
        return read_records(self.fence[start.length :], start)


TestInstallation = Installation.TestCase
