"""Refusals and tallies made for tests, and what any folding has to account for."""

from collections import Counter
from collections.abc import Iterable
from itertools import count

from hypothesis import strategies as st

from keyturn.core.audit_trail import (
    EVERYWHERE,
    TALLY_WINDOW,
    Entry,
    Folded,
    Refusal,
    Tally,
    bucket_of,
)

NOW = 1_800_000_000_000
ACTIONS = ["credential.rotation_refused", "token.refused"]
REASONS = ["invalid_credentials", "invalid_token"]
DEVELOPER = bucket_of("ada", "203.0.113.9")
BUCKETS = ["203.0.113.1", "203.0.113.2", "2001:db8::/64", DEVELOPER]

Kind = tuple[str, str]
_numbers = count()


def refusal(
    bucket: str | None = BUCKETS[0],
    at: int = NOW,
    action: str = ACTIONS[0],
    reason: str = REASONS[0],
) -> Refusal:
    """A refusal; without a bucket it names an agent."""
    entry = Entry(
        id=f"refusal {next(_numbers)}",
        at=at,
        actor_kind="developer" if bucket == DEVELOPER else "anonymous",
        actor_id="ada" if bucket == DEVELOPER else None,
        action=action,
        outcome="refused",
        agent_id="an agent" if bucket is None else None,
        developer_id="ada" if bucket == DEVELOPER else None,
        address="203.0.113.9" if bucket == DEVELOPER else bucket,
        user_agent="curl",
        request_id="a request",
        details={"reason": reason},
    )
    return Refusal(entry, reason, bucket)


def tally(
    bucket: str = BUCKETS[0],
    opened_at: int = NOW,
    count: int = 0,
    action: str = ACTIONS[0],
    reason: str = REASONS[0],
) -> Tally:
    return Tally(action, reason, bucket, opened_at, count)


def counted(entry: Entry) -> int:
    """For how many refusals an entry stands."""
    return int(entry.details.get("count", 1))


def charged_to(entry: Entry) -> str:
    """Whose refusals the entry tells of."""
    if entry.agent_id is not None:
        return "an agent"
    return DEVELOPER if entry.developer_id else entry.address or EVERYWHERE


def accounted(entries: Iterable[Entry], tallies: Iterable[Tally]) -> Counter[Kind]:
    """How many refusals of each action and reason are in the entries and tallies."""
    total = Counter[Kind]()
    for entry in entries:
        total[entry.action, entry.details["reason"]] += counted(entry)
    for standing in tallies:
        total[standing.action, standing.reason] += standing.count
    return +total


def happened(refusals: Iterable[Refusal], tallies: Iterable[Tally]) -> Counter[Kind]:
    """How many refusals of each action and reason there are to account for."""
    return accounted((each.entry for each in refusals), tallies)


def after(tallies: Iterable[Tally], folded: Folded) -> list[Tally]:
    """The tallies as a store has them when it has kept what was folded."""
    standing = {_key(each): each for each in tallies}
    for ended in folded.ended:
        del standing[_key(ended)]
    return list((standing | {_key(each): each for each in folded.kept}).values())


def _key(each: Tally) -> tuple[str, str, str]:
    return each.action, each.reason, each.bucket


times = st.integers(NOW - 3 * TALLY_WINDOW, NOW)
recent_times = st.integers(NOW - TALLY_WINDOW + 1, NOW)
"""Times whose window is not over yet."""


@st.composite
def tally_lists(draw: st.DrawFn) -> list[Tally]:
    """Tallies of different keys, some of them over."""
    keys = st.tuples(
        st.sampled_from(ACTIONS), st.sampled_from(REASONS), st.sampled_from([*BUCKETS, EVERYWHERE])
    )
    chosen = draw(st.lists(keys, unique=True, max_size=8))
    return [Tally(*key, draw(times), draw(st.integers(0, 5))) for key in chosen]


def refusal_lists(
    max_size: int = 30, at: st.SearchStrategy[int] = times
) -> st.SearchStrategy[list[Refusal]]:
    """Refusals in any order, some of which name an agent."""
    buckets = st.none() | st.sampled_from(BUCKETS)
    one = st.builds(refusal, buckets, at, st.sampled_from(ACTIONS), st.sampled_from(REASONS))
    return st.lists(one, max_size=max_size)


allowances = st.integers(0, 10)
