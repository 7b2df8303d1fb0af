"""Agents are found, sorted, paged and counted as if all of them were looked at one by one."""

import base64
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from keyturn.actions.browse_agents import COUNTED, AgentFilter, Order, Sort, browse_agents
from keyturn.core.agent import Agent, AgentStatus
from keyturn.core.errors import InvalidRequest, InvalidToken
from keyturn.core.key_age import KeyAge, key_age, period_gone
from tests.actions.populated import ADA, BOB, OPERATOR, PEOPLE, Populated
from tests.actions.world import START
from tests.storage.batches import do

PLACES: dict[Sort, Any] = {
    "created": lambda agent: agent.seq,
    "name": lambda agent: agent.name,
    "due": lambda agent: agent.rotation_due_at,
    "used": lambda agent: agent.last_used_at or 0,
    "credits": lambda agent: agent.credit_balance,
}
SEARCHES = (
    None,
    "alpha",
    "ALP",
    "0%_s",
    "%",
    "_",
    "\\",
    "ü",
    "Ü",
    "agent-1",
    "gent",
    "\0",
    "\ud800",
)
FILTERS = some.builds(
    AgentFilter,
    search=some.sampled_from(SEARCHES),
    status=some.sampled_from((None, None, *get_args(AgentStatus))),
    age=some.sampled_from((None, None, *get_args(KeyAge))),
    developer_id=some.sampled_from((None, None, ADA, BOB)),
)
ORDERS = some.builds(Order, some.sampled_from(get_args(Sort)), some.booleans())


def lowered(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def fits(agent: Agent, chosen: AgentFilter) -> bool:
    age = key_age(period_gone(agent.key_created_at, agent.rotation_due_at, START))
    sought = lowered(chosen.search or "")
    return (
        (sought in lowered(agent.name) or agent.id.startswith(sought))
        and chosen.status in (None, agent.status)
        and (chosen.age is None or (not agent.revoked and chosen.age == age))
    )


@settings(max_examples=60)
@given(
    who=some.sampled_from(tuple(PEOPLE.values())),
    chosen=FILTERS,
    order=ORDERS,
    limit=some.integers(1, 25),
)
def test_pages_have_each_agent_once_and_in_order(
    populated: Populated, who: Any, chosen: AgentFilter, order: Order, limit: int
) -> None:
    whose = chosen.developer_id if who.operator else None
    expected = [
        agent
        for agent in populated.agents_of(who)
        if fits(agent, chosen) and whose in (None, agent.developer_id)
    ]
    place = PLACES[order.sort]
    expected.sort(key=lambda agent: (place(agent), agent.seq), reverse=order.descending)
    found: list[Agent] = []
    cursor: str | None = None
    while not found or cursor:
        browsed = do(
            browse_agents(populated.service, who, chosen, order, cursor=cursor, limit=limit)
        )
        assert browsed.count == len(expected)
        owners = {agent.developer_id for agent in browsed.page.items} | ({whose} - {None})
        owners = owners if who.operator else set()
        assert browsed.owners == {owner: f"{owner}@example.com" for owner in owners}
        found += browsed.page.items
        cursor = browsed.page.next_cursor
        if not browsed.page.items:
            break
    assert found == expected


def test_what_there_is_more_than_can_be_counted_is_told_as_one_more(
    populated: Populated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.browse_agents.COUNTED", 20)
    who = PEOPLE[OPERATOR]
    assert COUNTED == 10_000
    browsed = do(browse_agents(populated.service, who, AgentFilter(), Order(), limit=5))
    assert browsed.count == 21


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x.y",
        "é",
        encoded("credits- 5"),
        encoded("credits- five 5"),
        encoded("credits- 5 five"),
        encoded("credits- -5 5"),
        encoded("credits- 5 -5"),
        encoded(f"credits- 5 {2**63}"),
        encoded(f"credits- {'9' * 5000} 5"),
        encoded("credits+ 5 5"),
        encoded("created- 5 5"),
        encoded("credits- 5 5\0"),
    ],
)
def test_a_cursor_of_another_order_is_refused(populated: Populated, cursor: str) -> None:
    order = Order("credits")
    with pytest.raises(InvalidRequest, match="cursor"):
        do(
            browse_agents(
                populated.service, PEOPLE[ADA], AgentFilter(), order, cursor=cursor, limit=5
            )
        )


def test_a_name_in_a_cursor_has_no_character_that_a_database_refuses(populated: Populated) -> None:
    cursor = encoded("name- 5 a\0b")
    with pytest.raises(InvalidRequest, match="cursor"):
        do(
            browse_agents(
                populated.service,
                PEOPLE[ADA],
                AgentFilter(),
                Order("name"),
                cursor=cursor,
                limit=5,
            )
        )


def test_whoever_has_lost_their_token_sees_no_agents(populated: Populated) -> None:
    gone = replace(PEOPLE[OPERATOR], token_id="gone")
    with pytest.raises(InvalidToken):
        do(browse_agents(populated.service, gone, AgentFilter(), Order(), limit=5))
