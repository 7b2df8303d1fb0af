"""The trail is searched as if every entry were looked at, in steps that are bounded."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from keyturn.actions.agent_history import agent_history
from keyturn.actions.explore_audit import PICTURED, Explored, explore_audit, find_entry
from keyturn.actions.manage_agents import list_agents
from keyturn.actions.overview import overview
from keyturn.actions.read_audit import AuditFilter, export_audit, list_audit
from keyturn.actions.service import Principal
from keyturn.core.agent import DAY, Agent
from keyturn.core.audit_search import ANYTHING, Sought
from keyturn.core.audit_trail import Action, Entry
from keyturn.core.errors import AgentNotFound, InvalidToken
from keyturn.core.key_age import key_age, period_gone
from tests.actions.populated import ADA, BOB, OPERATOR, PEOPLE, Populated
from tests.actions.world import START
from tests.storage.batches import do

LOOKED_AT, COUNTED = 42, 40
WEEK = 7 * DAY
ACTIONS = (None, Action.CREDENTIAL_ROTATED, Action.CREDENTIAL_REUSED, "nothing")
TIMES = (None, START - 5 * DAY, START - 2 * DAY, START)
CHOSEN = some.builds(
    AuditFilter,
    agent_id=some.sampled_from((None, None, "agent-1", "agent-9")),
    action=some.sampled_from(ACTIONS),
    since=some.sampled_from(TIMES),
    until=some.sampled_from(TIMES),
)
SOUGHT = some.one_of(
    some.just(ANYTHING),
    some.builds(
        Sought,
        action_group=some.sampled_from((None, "credential.", "rotation_secret.")),
        outcome=some.sampled_from((None, None, "refused", "success")),
        actor_kind=some.sampled_from((None, None, "agent", "service")),
        severity=some.sampled_from((None, None, "critical")),
        text=some.sampled_from((None, None, "CAFÉ", "alpha", "192.", "entry-1", "\0", "%")),
    ),
)


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyturn.actions.explore_audit.AT_ONCE", 7)
        patch.setattr("keyturn.actions.read_audit.EXPORT_PAGE", 7)
        patch.setattr("keyturn.actions.explore_audit.LOOKED_AT", LOOKED_AT)
        patch.setattr("keyturn.actions.explore_audit.COUNTED", COUNTED)
        yield


def expected(
    populated: Populated, who: Principal, chosen: AuditFilter, sought: Sought
) -> list[Entry]:
    names = populated.names(who)
    return [
        entry
        for entry in populated.entries_of(who)
        if chosen.agent_id in (None, entry.agent_id)
        and chosen.action in (None, entry.action)
        and (chosen.since or 0) <= entry.at < (chosen.until or START + 1)
        and sought.fits(entry, names.get(entry.agent_id or ""))
    ]


def check_histogram(made: Explored, fitting: list[Entry], chosen: AuditFilter) -> None:
    histogram = made.histogram
    assert histogram is not None
    until = START + 1 if chosen.until is None else chosen.until
    since = until - PICTURED if chosen.since is None else chosen.since
    counted_from = since if histogram.counted_from is None else histogram.counted_from
    for bar, count in enumerate(histogram.counts):
        begins = histogram.begins_at + bar * histogram.width
        of_bar = [entry.at for entry in fitting if begins <= entry.at < begins + histogram.width]
        exact = [at for at in of_bar if at > counted_from or histogram.counted_from is None]
        assert len(exact) <= count <= len(of_bar)
    assert sum(histogram.counts) <= max(COUNTED, LOOKED_AT)


@settings(max_examples=80)
@example(
    who=PEOPLE[OPERATOR],
    chosen=AuditFilter(since=START - 2 * DAY, until=START),
    sought=Sought(text="CAFÉ"),
    limit=1,
).via("what was looked at ends within the first of the milliseconds asked for")
@given(
    who=some.sampled_from(tuple(PEOPLE.values())),
    chosen=CHOSEN,
    sought=SOUGHT,
    limit=some.integers(1, 40),
)
def test_what_is_looked_for_is_found_once_and_newest_first(
    populated: Populated, who: Principal, chosen: AuditFilter, sought: Sought, limit: int
) -> None:
    fitting = expected(populated, who, chosen, sought)
    found: list[Entry] = []
    cursor: str | None = None
    while True:
        made = do(explore_audit(populated.service, who, chosen, sought, cursor=cursor, limit=limit))
        assert len(made.entries) <= limit
        found += made.entries
        named = {entry.agent_id or "" for entry in made.entries}
        assert made.names == {k: v for k, v in populated.names(who).items() if k in named}
        if cursor is None:
            check_histogram(made, fitting, chosen)
        else:
            assert made.histogram is None
        if made.looked_back_to is not None:
            assert made.next_cursor
            assert [entry for entry in fitting if entry.at > made.looked_back_to] == found[
                : len([entry for entry in fitting if entry.at > made.looked_back_to])
            ]
        cursor = made.next_cursor
        if cursor is None:
            break
    assert found == fitting


@settings(max_examples=20)
@given(who=some.sampled_from(tuple(PEOPLE.values())), chosen=CHOSEN, sought=SOUGHT)
def test_an_export_has_all_that_is_looked_for(
    populated: Populated, who: Principal, chosen: AuditFilter, sought: Sought
) -> None:
    async def exported() -> list[Entry]:
        parts = await export_audit(populated.service, who, chosen, sought)
        return [entry async for part in parts for entry in part]

    assert do(exported()) == expected(populated, who, chosen, sought)


def test_a_search_ends_where_it_has_looked_at_enough_and_says_so(populated: Populated) -> None:
    who = PEOPLE[OPERATOR]
    sought = Sought(text="what nobody has written")
    made = do(explore_audit(populated.service, who, AuditFilter(), sought, limit=5))
    assert made.entries == []
    assert made.looked_back_to == populated.trail[LOOKED_AT - 1].entry.at
    assert made.histogram
    assert made.histogram.counted_from == made.looked_back_to


def test_an_entry_is_found_by_its_id_by_whoever_may_see_it(populated: Populated) -> None:
    names = populated.names(PEOPLE[OPERATOR])
    entry = next(entry for entry in populated.entries_of(PEOPLE[BOB]) if entry.agent_id in names)
    service = populated.service
    assert do(find_entry(service, PEOPLE[ADA], entry.id)) is None
    assert do(find_entry(service, PEOPLE[OPERATOR], "nothing")) is None
    found = do(find_entry(service, PEOPLE[OPERATOR], entry.id))
    assert found == (entry, names[entry.agent_id or ""])


def test_a_history_is_of_the_developers_own_agent(populated: Populated) -> None:
    agent = next(agent for agent in populated.agents if agent.id == "agent-1")
    stranger = PEOPLE[BOB if agent.developer_id == ADA else ADA]
    with pytest.raises(AgentNotFound):
        do(agent_history(populated.service, stranger, agent.id))
    made = do(agent_history(populated.service, PEOPLE[OPERATOR], agent.id))
    of_agent = AuditFilter(agent_id=agent.id)
    assert made.agent == agent
    assert made.entries == expected(populated, PEOPLE[OPERATOR], of_agent, ANYTHING)
    assert made.generations[-1].number == agent.generation
    assert not made.more


def test_a_history_is_bounded_and_says_so(
    populated: Populated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.agent_history.NEWEST", 3)
    made = do(agent_history(populated.service, PEOPLE[OPERATOR], "agent-1"))
    assert (len(made.entries), made.more) == (3, True)


@pytest.mark.parametrize("name", PEOPLE)
def test_the_overview_counts_what_is_there(populated: Populated, name: str) -> None:
    who = PEOPLE[name]
    made = do(overview(populated.service, who))
    entries = populated.entries_of(who)
    rotated = [entry for entry in entries if entry.action == Action.CREDENTIAL_ROTATED]
    by_agents = sum(entry.actor_kind == "agent" for entry in rotated)
    assert sum(day.by_agents for day in made.rotations) == by_agents
    assert sum(day.by_developers for day in made.rotations) == len(rotated) - by_agents
    reuses = [entry for entry in entries if entry.action == Action.CREDENTIAL_REUSED]
    ranked = [
        entry
        for severity in ("critical", "warning")
        for entry in reuses
        if entry.details["severity"] == severity
    ]
    assert made.alerts == ranked[:10]
    assert made.newest == entries[:10]
    shown = {entry.agent_id for entry in (*made.alerts, *made.newest)}
    assert made.names == {k: v for k, v in populated.names(who).items() if k in shown}
    agents = populated.agents_of(who)
    assert {state: count for state, count in made.agents.items() if count} == Counter(
        agent.status if agent.status != "active" else age_of(agent) for agent in agents
    )
    refused = [
        entry for entry in entries if entry.outcome == "refused" and entry.at >= START - WEEK
    ]
    assert sum(count for _, count in made.refusals) == made.refused == len(refused)
    overdue = [each for each in agents if not each.revoked and each.rotation_due_at < START]
    overdue.sort(key=lambda agent: (agent.rotation_due_at, agent.seq))
    assert made.overdue == overdue[:10]


def age_of(agent: Agent) -> str:
    gone = period_gone(agent.key_created_at, agent.rotation_due_at, START)
    return key_age(gone)


READS: list[Any] = [
    lambda service, who: list_audit(service, who, AuditFilter(), cursor=None, limit=5),
    lambda service, who: export_audit(service, who, AuditFilter()),
    lambda service, who: list_agents(service, who, status=None, search=None, cursor=None, limit=5),
    lambda service, who: explore_audit(service, who, AuditFilter(), limit=5),
    lambda service, who: find_entry(service, who, "entry-1"),
    lambda service, who: agent_history(service, who, "agent-1"),
    overview,
]


@pytest.mark.parametrize("read", READS)
def test_whoever_has_lost_their_token_sees_nothing(populated: Populated, read: Any) -> None:
    gone = replace(PEOPLE[OPERATOR], token_id="gone")
    with pytest.raises(InvalidToken):
        do(read(populated.service, gone))
