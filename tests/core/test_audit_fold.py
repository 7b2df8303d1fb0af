"""How floods of refusals become counts, and that none is lost on the way."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.audit_trail import (
    ENTRIES_A_SECOND,
    EVERYWHERE,
    TALLY_WINDOW,
    Entry,
    Folded,
    Refusal,
    Tally,
    bucket_of,
    fold,
)
from tests.core.folding import (
    BUCKETS,
    DEVELOPER,
    NOW,
    accounted,
    after,
    allowances,
    charged_to,
    counted,
    happened,
    recent_times,
    refusal,
    refusal_lists,
    tally,
    tally_lists,
)

OVER = NOW - TALLY_WINDOW
QUARTER_HOUR = {"from": "2027-01-15T07:45:00.000Z", "to": "2027-01-15T08:00:00.000Z"}


def test_the_first_refusal_is_an_entry_and_opens_a_tally() -> None:
    first = refusal(at=NOW - 5)
    assert fold([first], [], NOW, 10) == Folded([first.entry], [tally(opened_at=NOW - 5)], [])


def test_those_after_it_are_only_counted() -> None:
    refusals = [refusal() for _ in range(5)]
    folded = fold(refusals, [], NOW, 10)
    assert folded.entries == [refusals[0].entry]
    assert folded.kept == [tally(count=4)]


def test_another_action_reason_or_address_is_a_first_again() -> None:
    refusals = [
        refusal(),
        refusal(action="token.refused"),
        refusal(reason="invalid_token"),
        refusal(bucket=BUCKETS[1]),
    ]
    assert fold(refusals, [], NOW, 10).entries == [each.entry for each in refusals]


def test_a_refusal_that_names_an_agent_is_always_an_entry() -> None:
    refusals = [refusal(bucket=None) for _ in range(30)]
    assert fold(refusals, [], NOW, 0) == Folded([each.entry for each in refusals], [], [])


def test_a_window_that_is_over_becomes_one_count_and_a_new_window() -> None:
    folded = fold([], [tally(opened_at=OVER, count=7)], NOW, 10)
    [entry] = folded.entries
    assert entry.details == {"reason": "invalid_credentials", "count": 7, **QUARTER_HOUR}
    assert (entry.action, entry.outcome) == ("credential.rotation_refused", "refused")
    assert (entry.actor_kind, entry.address, entry.at) == ("anonymous", BUCKETS[0], NOW)
    assert folded.kept == [tally(opened_at=NOW)]
    assert folded.ended == []


def test_a_window_that_is_not_over_stays_open() -> None:
    standing = tally(opened_at=OVER + 1, count=7)
    assert fold([], [standing], NOW, 10) == Folded([], [standing], [])


def test_a_silent_window_ends_without_an_entry() -> None:
    silent = tally(opened_at=OVER)
    assert fold([], [silent], NOW, 10) == Folded([], [], [silent])


def test_after_silence_the_next_refusal_is_a_first_again() -> None:
    first = refusal()
    folded = fold([first], [tally(opened_at=OVER)], NOW, 10)
    assert folded == Folded([first.entry], [tally(opened_at=NOW)], [])


def test_after_silence_a_refusal_that_finds_no_allowance_is_counted_without_its_address() -> None:
    silent = tally(opened_at=OVER)
    folded = fold([refusal()], [silent], NOW, 0)
    assert folded == Folded([], [tally(bucket=EVERYWHERE, count=1)], [silent])


def test_a_window_that_finds_no_allowance_closes_later_and_loses_nothing() -> None:
    over = tally(opened_at=OVER, count=7)
    folded = fold([refusal()], [over], NOW, 0)
    assert folded == Folded([], [tally(opened_at=OVER, count=8)], [])
    [later] = fold([], folded.kept, NOW + 1000, 1).entries
    assert later.details["count"] == 8


def test_past_the_allowance_firsts_are_counted_together_without_their_addresses() -> None:
    refusals = [refusal(bucket=f"192.0.2.{number}") for number in range(15)]
    folded = fold(refusals, [], NOW, ENTRIES_A_SECOND)
    assert folded.entries == [each.entry for each in refusals[:10]]
    assert [each for each in folded.kept if each.bucket == EVERYWHERE] == [
        tally(bucket=EVERYWHERE, count=5)
    ]


def test_an_entry_is_made_of_its_columns_again() -> None:
    entry = refusal().entry
    assert Entry(**entry.columns()) == entry


def test_refusals_are_counted_by_developer_where_one_is_known_and_else_by_address() -> None:
    assert bucket_of(None, "203.0.113.1") == "203.0.113.1"
    assert bucket_of("ada", "203.0.113.1") == bucket_of("ada", "203.0.113.2")
    assert bucket_of("ada", "203.0.113.1") != bucket_of("bob", "203.0.113.1")


def test_the_count_of_a_developer_names_the_developer_and_no_address() -> None:
    [entry] = fold([], [tally(bucket=DEVELOPER, opened_at=OVER, count=5)], NOW, 1).entries
    assert (entry.actor_kind, entry.actor_id, entry.developer_id) == ("developer", "ada", "ada")
    assert (entry.address, entry.details["count"]) == (None, 5)


def test_a_window_that_opens_in_the_future_is_over() -> None:
    silent, counted_one = tally(opened_at=NOW + 1), tally(BUCKETS[1], opened_at=NOW + 1, count=2)
    folded = fold([], [silent, counted_one], NOW, 10)
    assert [entry.details["count"] for entry in folded.entries] == [2]
    assert folded.kept == [tally(BUCKETS[1], opened_at=NOW)]
    assert folded.ended == [silent]


def test_the_count_of_everywhere_names_no_address() -> None:
    [entry] = fold([], [tally(bucket=EVERYWHERE, opened_at=OVER, count=5)], NOW, 1).entries
    assert (entry.address, entry.details["count"]) == (None, 5)


def test_a_window_closed_twice_has_the_same_entry_and_another_window_another() -> None:
    closed = [
        fold([], [over], NOW, 1).entries[0]
        for over in (
            tally(opened_at=OVER, count=7),
            tally(opened_at=OVER, count=7),
            tally(opened_at=OVER - 1, count=7),
            tally(opened_at=OVER, count=7, bucket=BUCKETS[1]),
            tally(opened_at=OVER, count=7, action="token.refused"),
            tally(opened_at=OVER, count=7, reason="invalid_token"),
        )
    ]
    assert closed[0] == closed[1]
    assert len({entry.id for entry in closed}) == 5


@given(refusals=refusal_lists(), tallies=tally_lists(), allowance=allowances)
def test_every_refusal_is_in_exactly_one_entry_or_count(
    refusals: list[Refusal], tallies: list[Tally], allowance: int
) -> None:
    folded = fold(refusals, tallies, NOW, allowance)
    assert accounted(folded.entries, after(tallies, folded)) == happened(refusals, tallies)


@given(refusals=refusal_lists(), tallies=tally_lists(), allowance=allowances)
def test_no_address_is_charged_with_more_than_came_from_it(
    refusals: list[Refusal], tallies: list[Tally], allowance: int
) -> None:
    sent, charged = Counter[str](), Counter[str]()
    for each in refusals:
        sent[charged_to(each.entry)] += 1
    for standing in tallies:
        sent[standing.bucket] += standing.count
    folded = fold(refusals, tallies, NOW, allowance)
    for entry in folded.entries:
        charged[charged_to(entry)] += counted(entry)
    for standing in folded.kept:
        charged[standing.bucket] += standing.count
    assert all(charged[bucket] <= sent[bucket] for bucket in BUCKETS)
    assert charged["an agent"] == sent["an agent"]


@given(refusals=refusal_lists(), tallies=tally_lists(), allowance=allowances)
def test_entries_that_stand_for_countable_refusals_never_exceed_the_allowance(
    refusals: list[Refusal], tallies: list[Tally], allowance: int
) -> None:
    entries = fold(refusals, tallies, NOW, allowance).entries
    assert sum(1 for entry in entries if entry.agent_id is None) <= allowance
    assert len({entry.id for entry in entries}) == len(entries)


@given(refusals=refusal_lists(), tallies=tally_lists(), allowance=allowances)
def test_one_key_has_one_tally_and_none_is_both_kept_and_ended(
    refusals: list[Refusal], tallies: list[Tally], allowance: int
) -> None:
    folded = fold(refusals, tallies, NOW, allowance)
    keys = [(one.action, one.reason, one.bucket) for one in folded.kept + folded.ended]
    assert len(set(keys)) == len(keys)
    assert all(ended.count == 0 for ended in folded.ended)


@given(
    refusals=refusal_lists(at=recent_times),
    tallies=tally_lists(),
    allowance=allowances,
    parts=st.lists(st.integers(0, 30), max_size=3),
)
def test_folding_in_several_steps_is_folding_in_one(
    refusals: list[Refusal], tallies: list[Tally], allowance: int, parts: list[int]
) -> None:
    whole = fold(refusals, tallies, NOW, allowance)
    entries, standing, left = list[Entry](), tallies, allowance
    for start, end in pairwise([0, *sorted(parts), len(refusals)]):
        step = fold(refusals[start:end], standing, NOW, left)
        entries += step.entries
        standing = after(standing, step)
        left -= sum(1 for entry in step.entries if entry.agent_id is None)
    assert entries == whole.entries
    assert set(standing) == set(after(tallies, whole))


steps = st.tuples(
    st.integers(0, TALLY_WINDOW), st.lists(st.none() | st.sampled_from(BUCKETS)), allowances
)


@given(steps=st.lists(steps, max_size=12))
def test_however_time_passes_nothing_is_lost_and_counts_are_15_minutes_apart(
    steps: list[tuple[int, list[str | None], int]],
) -> None:
    now, standing, sent, written = NOW, list[Tally](), list[Refusal](), list[Entry]()
    for gap, buckets, allowance in steps:
        now += gap
        refusals = [refusal(bucket, now) for bucket in buckets]
        folded = fold(refusals, standing, now, allowance)
        standing, sent = after(standing, folded), sent + refusals
        written += folded.entries
    assert accounted(written, standing) == happened(sent, [])
    for bucket in [*BUCKETS, EVERYWHERE]:
        counts = [one.at for one in written if "count" in one.details and charged_to(one) == bucket]
        assert all(later - sooner >= TALLY_WINDOW for sooner, later in pairwise(counts))
