"""Uses of one retired credential: the first is an entry at once, the others a count of its own."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.audit_trail import TALLY_WINDOW, Entry, Refusal, Tally, fold
from tests.core.folding import NOW, after, refusal

BUCKET = "reuse agent-1 ada 7 2-active-alert"
OVER = NOW - TALLY_WINDOW
QUARTER_HOUR = {"from": "2027-01-15T07:45:00.000Z", "to": "2027-01-15T08:00:00.000Z"}


def reuse(times: int = 1, severity: str = "warning", bucket: str = BUCKET) -> Refusal:
    """A retired credential that came back, so many times since the last round."""
    made = refusal(action="credential.reused", reason=severity)
    entry = replace(
        made.entry, agent_id="agent-1", developer_id="ada", details={"severity": severity}
    )
    return Refusal(entry, severity, bucket, times)


def tally(count: int = 0, severity: str = "warning", **changes: Any) -> Tally:
    return replace(Tally("credential.reused", severity, BUCKET, NOW, count), **changes)


def counts(entries: list[Entry]) -> int:
    return sum(entry.details.get("count", 1) for entry in entries)


def test_the_first_is_an_entry_and_opens_a_tally() -> None:
    first = reuse()
    assert fold([first], [], NOW, 10).entries == [first.entry]
    assert fold([first], [], NOW, 10).kept == [tally()]


def test_many_at_once_are_one_entry_and_a_count_of_the_others() -> None:
    folded = fold([reuse(times=40)], [], NOW, 10)
    assert (len(folded.entries), folded.kept) == (1, [tally(39)])


def test_where_there_was_one_before_all_of_them_are_counted() -> None:
    folded = fold([reuse(times=40), reuse(times=2)], [tally(5)], NOW, 10)
    assert (folded.entries, folded.kept) == ([], [tally(47)])


def test_the_first_of_each_severity_and_bucket_is_an_entry() -> None:
    elsewhere = reuse(bucket=BUCKET.replace("alert", "quarantine"))
    refusals = [reuse(), reuse(severity="critical"), elsewhere]
    assert fold(refusals, [], NOW, 10).entries == [each.entry for each in refusals]


def test_the_first_is_an_entry_however_great_the_flood_beside_it() -> None:
    flood = [refusal(bucket=f"192.0.2.{number}") for number in range(50)]
    first = reuse(severity="critical")
    assert first.entry in fold([*flood, first], [], NOW, 10).entries
    assert fold([first], [], NOW, 0).entries == [first.entry]


def test_it_takes_no_place_of_those_that_name_nobody() -> None:
    reuses = [reuse(bucket=f"reuse agent-1 ada {seq} 2-active-alert") for seq in range(20)]
    flood = [refusal(bucket=f"192.0.2.{number}") for number in range(50)]
    folded = fold([*reuses, *flood], [], NOW, 10)
    assert sum(1 for entry in folded.entries if entry.agent_id is None) == 10


def test_a_count_names_the_agent_and_its_developer_and_no_address() -> None:
    [entry] = fold([], [tally(6, "critical", opened_at=OVER)], NOW, 1).entries
    assert (entry.action, entry.outcome) == ("credential.reused", "refused")
    assert (entry.agent_id, entry.developer_id) == ("agent-1", "ada")
    assert (entry.actor_kind, entry.actor_id, entry.address) == ("anonymous", None, None)
    assert entry.details == {"severity": "critical", "count": 6, **QUARTER_HOUR}


def test_counts_of_reuse_share_the_cap_of_all_counts_and_lose_nothing() -> None:
    windows = [
        tally(3, bucket=f"reuse agent-1 ada {seq} 2-active-alert", opened_at=OVER)
        for seq in range(15)
    ]
    folded = fold([], windows, NOW, 10)
    assert counts(folded.entries) == 30
    assert counts(fold([], after(windows, folded), NOW + 1000, 10).entries) == 15


@given(st.lists(st.tuples(st.integers(0, TALLY_WINDOW), st.integers(1, 9)), max_size=12))
def test_however_time_passes_every_use_is_in_one_entry_or_count(
    steps: list[tuple[int, int]],
) -> None:
    now, standing, written, sent = NOW, list[Tally](), list[Entry](), 0
    for gap, times in steps:
        now += gap
        first = reuse(times)
        folded = fold([replace(first, entry=replace(first.entry, at=now))], standing, now, 10)
        standing, sent = after(standing, folded), sent + times
        written += folded.entries
    assert counts(written) + sum(each.count for each in standing) == sent
