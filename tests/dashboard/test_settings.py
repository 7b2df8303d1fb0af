"""Two developers change one agent's settings, and neither undoes what they have not seen."""

import html
import json
import re
from typing import Any

import pytest

from keyturn.actions.manage_agents import AgentChanges, update_agent
from tests.actions.world import World, call
from tests.dashboard.visiting import Browser, Person
from tests.storage.batches import do

METADATA = {"team": "re\u2028search", "cost": 1e21, "text": 'a\r\n"<b>"', "nested": [{"ä": None}]}


class Form:
    """The settings as a page has loaded them, to be sent as they are or changed."""

    def __init__(self, browser: Browser, agent_id: str) -> None:
        self._browser = browser
        self._path = f"/dashboard/agents/{agent_id}"
        text = browser.get(self._path).text
        self.fields = dict(
            re.findall(r'<input type="hidden" name="(loaded_\w+)" value="(\w+)"', text)
        )
        for name in ("name", "rotation_period_days"):
            self.fields[name] = html.unescape(find(rf'name="{name}"[^>]* value="([^"]*)"', text))
        self.fields["on_reuse"] = find(r'<option value="(\w+)" selected', text)
        shown = html.unescape(find(r'<textarea[^>]*name="metadata"[^>]*>(.*?)</textarea>', text))
        self.fields["metadata"] = shown.replace("\n", "\r\n")

    def send(self, **changed: Any) -> Any:
        return self._browser.post(f"{self._path}/settings", **{**self.fields, **changed})


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None, pattern
    return found[1]


@pytest.fixture
def agent_id(world: World, ada: Person) -> str:
    registered = world.register().agent_id
    change(world, ada, registered, AgentChanges(name="courier", metadata=METADATA))
    return registered


def change(world: World, ada: Person, agent_id: str, changes: AgentChanges) -> None:
    """As somebody else does it, over the API."""
    do(update_agent(world.service, call(), ada.principal, agent_id, changes))


def test_another_setting_that_changed_meanwhile_stays(
    world: World, browser: Browser, ada: Person, agent_id: str
) -> None:
    form = Form(browser, agent_id)
    others = AgentChanges(on_reuse="revoke", metadata={"team": "other"}, rotation_period_days=3)
    change(world, ada, agent_id, others)
    assert form.send(name="postman").status_code == 303
    kept = world.agent(agent_id)
    assert (kept.name, kept.on_reuse, kept.rotation_period_days) == ("postman", "revoke", 3)
    assert json.loads(kept.metadata) == {"team": "other"}


@pytest.mark.parametrize(
    "case",
    [
        (AgentChanges(name="theirs"), {"name": "mine"}, "the name"),
        (AgentChanges(on_reuse="revoke"), {"on_reuse": "quarantine"}, "what follows when"),
        (AgentChanges(rotation_period_days=3), {"rotation_period_days": "4"}, "the days between"),
        (AgentChanges(metadata={"a": 1}), {"metadata": '{"a": 2}'}, "the metadata"),
    ],
)
def test_of_two_changes_of_one_setting_the_second_is_refused_and_shown_the_first(
    world: World,
    browser: Browser,
    ada: Person,
    agent_id: str,
    case: tuple[AgentChanges, dict[str, str], str],
) -> None:
    theirs, mine, named = case
    form = Form(browser, agent_id)
    change(world, ada, agent_id, theirs)
    before = world.agent(agent_id)
    answer = form.send(**mine)
    assert (answer.status_code, f"as it is now: {named}" in answer.text) == (409, True)
    assert world.agent(agent_id) == before
    loaded = dict(re.findall(r'name="(loaded_\w+)" value="(\w+)"', answer.text))
    assert loaded == {name: Form(browser, agent_id).fields[name] for name in loaded}
    assert form.send(**mine, **loaded).status_code == 303


def test_what_both_want_alike_is_no_conflict(
    world: World, browser: Browser, ada: Person, agent_id: str
) -> None:
    form = Form(browser, agent_id)
    change(world, ada, agent_id, AgentChanges(name="postman"))
    assert form.send(name="postman").status_code == 303


def test_a_mistake_does_not_make_the_next_try_undo_what_changed_meanwhile(
    world: World, browser: Browser, ada: Person, agent_id: str
) -> None:
    form = Form(browser, agent_id)
    change(world, ada, agent_id, AgentChanges(on_reuse="revoke"))
    answer = form.send(name="")
    assert answer.status_code == 400
    loaded = dict(re.findall(r'name="(loaded_\w+)" value="(\w+)"', answer.text))
    assert form.send(name="postman", **loaded).status_code == 303
    assert world.agent(agent_id).on_reuse == "revoke"


def test_what_is_sent_as_it_was_loaded_changes_nothing(
    world: World, browser: Browser, agent_id: str
) -> None:
    entries = len(world.trail(action="agent.updated"))
    assert Form(browser, agent_id).send().status_code == 303
    assert len(world.trail(action="agent.updated")) == entries
