"""What an address asks of the list of agents, in words, and where a page is in it."""

from typing import Any

import pytest

from keyturn.actions.browse_agents import COUNTED, Browsed
from keyturn.actions.pages import Page
from keyturn.dashboard.agent_list import Asked, place


@pytest.mark.parametrize(
    ("after", "shown", "more", "count", "told"),
    [
        (0, 5, False, 5, "1–5 of 5"),
        (0, 1, False, 1, "1 of 1"),
        (0, 50, True, 312, "1–50 of 312"),
        (50, 50, True, 312, "51–100 of 312"),
        (300, 12, False, 312, "301–312 of 312"),
        (0, 50, True, COUNTED, "1–50 of 10,000"),
        (10_000, 50, True, COUNTED + 1, "10,001–10,050 of more than 10,000"),
        # Agents have gone, or come, since the first page was made; or somebody has made this up.
        (300, 4, False, 104, "101–104 of 104"),
        (50, 20, False, 90, "71–90 of 90"),
        (10**9, 50, True, 312, "263–312 of 312"),
    ],
)
def test_a_page_tells_where_it_is(
    after: int, shown: int, more: bool, count: int, told: str
) -> None:
    agents: list[Any] = [None] * shown
    assert place(after, Browsed(Page(agents, "next" if more else None), count, {})) == told


@pytest.mark.parametrize(
    ("asked", "owner", "everybody", "told"),
    [
        (Asked(), "", True, "Every agent of this installation, newest first."),
        (Asked(sort="-used"), "", False, "Your agents, last used first."),
        (Asked(status="revoked"), "", False, "Revoked agents, newest first."),
        (
            Asked(q="bot", status="active", age="overdue", owner="1", sort="-used"),
            "ada@a.example",
            True,
            "Active agents of ada@a.example with an overdue key that match “bot”, last used first.",
        ),
    ],
)
def test_a_list_tells_what_it_shows(asked: Asked, owner: str, everybody: bool, told: str) -> None:
    assert asked.told(owner, everybody=everybody) == told


def test_an_address_keeps_what_is_asked_and_leaves_out_what_is_not() -> None:
    asked = Asked(q="a&b", sort="name")
    assert asked.address() == "/dashboard/agents?q=a%26b&sort=name"
    assert asked.address(sort="-name", after=50) == "/dashboard/agents?q=a%26b&sort=-name&after=50"
    assert Asked().address() == "/dashboard/agents"
