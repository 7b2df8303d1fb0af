"""A form that is sent twice is done once, and says so."""

import pytest

from tests.actions.world import World
from tests.dashboard.visiting import Browser, Person, hidden

TWICE = "was not done twice"


@pytest.mark.parametrize(
    ("page", "path", "fields", "action"),
    [
        ("tokens", "tokens", {"kind": "service", "name": "gateway"}, "token.created"),
        ("agents/new", "agents/new", {"name": "courier"}, "agent.created"),
        ("agents/{agent}", "agents/{agent}/credits", {"amount": "1000"}, "credits.changed"),
    ],
)
def test_a_form_that_is_sent_twice_is_done_once(
    world: World, browser: Browser, page: str, path: str, fields: dict[str, str], action: str
) -> None:
    agent_id = world.register().agent_id
    shown = browser.get("/dashboard/" + page.format(agent=agent_id))
    sent = {"form": hidden(shown, "form"), **fields}
    there = "/dashboard/" + path.format(agent=agent_id)
    before = len(world.trail(action=action))
    assert browser.post(there, **sent).status_code < 400
    again = browser.post(there, **sent)
    assert (again.status_code, TWICE in again.text) == (409, True)
    assert len(world.trail(action=action)) == before + 1
    assert browser.post(there, **{**sent, "form": hidden(again, "form")}).status_code < 400


def test_a_form_of_another_session_uses_up_none(
    world: World, browser: Browser, ada: Person
) -> None:
    path = f"/dashboard/agents/{world.register().agent_id}"
    form = hidden(browser.get(path), "form")
    other = Browser(world.service)
    other.sign_in(ada)
    for each in (browser, other):
        assert each.post(f"{path}/credits", form=form, amount="5").status_code == 303


@pytest.mark.parametrize("form", ["", "x" * 32, "0" * 33])
def test_a_form_without_an_id_of_ours_does_nothing(
    world: World, browser: Browser, form: str
) -> None:
    agent_id = world.register().agent_id
    answer = browser.post(f"/dashboard/agents/{agent_id}/credits", form=form, amount="5")
    assert answer.status_code == 400
    assert world.agent(agent_id).credit_balance == 100


@pytest.mark.parametrize("amount", ["1_000", "1e3", "0x10", "१०", "", "--1", "1" * 5000])
def test_what_is_no_plain_number_adds_no_credits(
    world: World, browser: Browser, amount: str
) -> None:
    path = f"/dashboard/agents/{world.register().agent_id}"
    form = hidden(browser.get(path), "form")
    assert browser.post(f"{path}/credits", form=form, amount=amount).status_code == 400


def test_a_form_that_is_refused_keeps_what_was_chosen(browser: Browser) -> None:
    chosen = 'name="rotation_secret" value="yes" checked'
    assert chosen in browser.get("/dashboard/agents/new").text
    refused = browser.post("/dashboard/agents/new", form="", name="courier")
    assert (refused.status_code, chosen in refused.text) == (400, False)
