"""Where nobody knows whether a change was kept, nobody is told to make it again."""

from dataclasses import replace

import pytest

from keyturn.core.errors import Unavailable
from tests.actions.world import Around, World
from tests.dashboard.visiting import Browser, hidden


async def lost() -> None:
    """The change is kept, and its acknowledgement is lost."""
    raise Unavailable("the connection broke")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("agents/{agent}/change/rotate", {"generation": "1"}),
        ("agents/{agent}/settings", {"name": "courier", "rotation_period_days": "7"}),
        ("agents/{agent}/credits", {"amount": "5"}),
        ("agents/new", {"name": "courier"}),
        ("tokens", {"kind": "service", "name": "gateway"}),
        ("developers", {"email": "bob@example.com"}),
        ("account/sessions/end-others", {}),
    ],
)
def test_it_may_have_been_done_and_the_trail_tells(
    world: World, browser: Browser, path: str, fields: dict[str, str]
) -> None:
    agent_id = world.register().agent_id
    shown = browser.get(f"/dashboard/agents/{agent_id}")
    sent = {
        "csrf": hidden(shown, "csrf"),
        "on_reuse": "alert",
        "form": hidden(shown, "form"),
        **fields,
    }
    browser.service = replace(world.service, store=Around(world.service.store, after=lost))
    answer = browser.post("/dashboard/" + path.format(agent=agent_id), **sent)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "It may have been" in answer.text
    assert 'href="/dashboard/audit"' in answer.text
    assert "try again" not in answer.text
