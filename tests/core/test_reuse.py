"""Retired credentials that come back: how bad each story is, and what follows from it."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.agent import AgentStatus, OnReuse
from keyturn.core.reuse import Retired, Severity, consequence, grade, reuse_bucket

RETIRED_AT = 1_800_000_000_000
SECOND = 1000
YEAR = 365 * 24 * 3600 * SECOND


@dataclass(frozen=True)
class Story:
    """Who comes back with what, so long after it was replaced."""

    told: str
    severity: Severity
    after: int
    whole_pair: bool = True
    by_agent: bool = True
    same_idempotency_key: bool = False


STORIES = [
    Story("a replay that comes just after the first use", "info", 500, same_idempotency_key=True),
    Story("a replay that comes a day after it", "info", 86_400_000, same_idempotency_key=True),
    Story("a replay that comes in a year", "info", YEAR, same_idempotency_key=True),
    Story("a racing replica that lost", "info", 3),
    Story("a racing replica that waited before it tried", "info", 45 * SECOND),
    Story("a key that was in flight", "info", 20, whole_pair=False),
    Story("a key in a slow request", "info", 59_999, whole_pair=False),
    Story("a plain client that retries at once", "info", 1),
    Story("a plain client that retries after 30 seconds", "info", 30 * SECOND),
    Story("an agent that does not know of its developer's rotation", "info", 10, by_agent=False),
    Story("and still does not after a day", "warning", 86_400_000, by_agent=False),
    Story(
        "a developer's rotation, and the key alone", "warning", YEAR, whole_pair=False,
        by_agent=False,
    ),
    Story("a key alone, long after", "warning", YEAR, whole_pair=False),
    Story("a key alone, just after the minute", "warning", 60_001, whole_pair=False),
    Story("the complete pair at exactly one minute", "info", 60_000),
    Story("the complete pair a millisecond later", "critical", 60_001),
    Story("the complete pair after a year", "critical", YEAR),
    Story("the complete pair before it was replaced: a clock went back", "info", -5 * SECOND),
]  # fmt: skip


def retired(**changes: Any) -> Retired:
    made = Retired(
        seq=7,
        agent_id="agent",
        generation=1,
        key_mac=b"k",
        secret_mac=b"s",
        idempotency_mac=None,
        retired_at=RETIRED_AT,
        by_agent=True,
        developer_id="developer",
        agent_status="active",
        agent_generation=2,
        on_reuse="alert",
    )
    return replace(made, **changes)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.told)
def test_each_story_is_as_bad_as_the_contract_says(story: Story) -> None:
    severity = grade(
        retired(by_agent=story.by_agent),
        whole_pair=story.whole_pair,
        same_idempotency_key=story.same_idempotency_key,
        now=RETIRED_AT + story.after,
    )
    assert severity == story.severity


@given(
    after=st.integers(0, 2 * YEAR),
    whole_pair=st.booleans(),
    by_agent=st.booleans(),
    same_key=st.booleans(),
)
def test_only_a_whole_pair_that_the_agent_retired_a_minute_ago_is_critical(
    after: int, whole_pair: bool, by_agent: bool, same_key: bool
) -> None:
    severity = grade(
        retired(by_agent=by_agent),
        whole_pair=whole_pair,
        same_idempotency_key=same_key,
        now=RETIRED_AT + after,
    )
    late_and_unknown = after > 60_000 and not same_key
    assert (severity == "info") is not late_and_unknown
    assert (severity == "critical") is (late_and_unknown and whole_pair and by_agent)


FOLLOWS: dict[tuple[OnReuse, AgentStatus], AgentStatus | None] = {
    ("alert", "active"): None,
    ("alert", "quarantined"): None,
    ("alert", "revoked"): None,
    ("quarantine", "active"): "quarantined",
    ("quarantine", "quarantined"): None,
    ("quarantine", "revoked"): None,
    ("revoke", "active"): "revoked",
    ("revoke", "quarantined"): "revoked",
    ("revoke", "revoked"): None,
}


def test_what_follows_is_written_down_for_every_setting_and_status() -> None:
    assert set(FOLLOWS) == set(product(get_args(OnReuse), get_args(AgentStatus)))


@pytest.mark.parametrize(("on_reuse", "status"), FOLLOWS)
def test_what_follows_from_a_critical_one(on_reuse: OnReuse, status: AgentStatus) -> None:
    assert consequence("critical", on_reuse, status) == FOLLOWS[on_reuse, status]


@pytest.mark.parametrize(("on_reuse", "status"), FOLLOWS)
def test_nothing_follows_from_any_other(on_reuse: OnReuse, status: AgentStatus) -> None:
    assert consequence("warning", on_reuse, status) is None
    assert consequence("info", on_reuse, status) is None


def test_uses_of_one_retired_pair_are_counted_together() -> None:
    assert reuse_bucket(retired()) == reuse_bucket(retired(retired_at=0, key_mac=b"other"))


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 8},
        {"agent_id": "another"},
        {"agent_generation": 3},
        {"agent_status": "quarantined"},
        {"on_reuse": "revoke"},
    ],
    ids=str,
)
def test_they_are_counted_anew_when_what_could_follow_has_changed(change: dict[str, Any]) -> None:
    assert reuse_bucket(retired(**change)) != reuse_bucket(retired())
