"""A page says what was done once, to whoever did it, and because it was."""

import pytest

from tests.actions.world import World
from tests.dashboard.visiting import PASSWORD, Browser, Person

REVOKED = "Revoked: its credentials are refused"


@pytest.fixture
def agent_id(world: World) -> str:
    return world.register().agent_id


@pytest.fixture
def revoked(browser: Browser, agent_id: str) -> str:
    """The page of an agent that was revoked just now."""
    answer = browser.post(f"/dashboard/agents/{agent_id}/change/revoke", generation="1")
    path: str = answer.headers["location"]
    return path


def test_it_is_said_once(browser: Browser, revoked: str) -> None:
    assert REVOKED in browser.get(revoked).text
    assert REVOKED not in browser.get(revoked).text


def test_no_address_makes_a_page_say_it(browser: Browser, agent_id: str) -> None:
    assert REVOKED not in browser.get(f"/dashboard/agents/{agent_id}?done=revoked").text


def test_another_page_does_not_say_it(world: World, browser: Browser, revoked: str) -> None:
    other = f"/dashboard/agents/{world.register().agent_id}"
    assert REVOKED not in browser.get(other).text
    assert REVOKED in browser.get(revoked).text


def test_another_session_does_not_say_it(browser: Browser, ada: Person, revoked: str) -> None:
    browser.sign_in(ada)
    assert REVOKED not in browser.get(revoked).text


@pytest.mark.parametrize("forged", ["{digest}.Saved", ".Saved", "Saved", "{digest}.%ff", "é.é"])
def test_a_text_that_was_put_into_the_cookie_is_not_said(
    browser: Browser, revoked: str, forged: str
) -> None:
    digest, _, _ = browser.cookies["keyturn-done"].partition(".")
    cookies = f"keyturn-session={browser.session}; keyturn-done={forged.format(digest=digest)}"
    answer = browser.get(revoked, cookies=cookies)
    assert (answer.status_code, 'class="notice good"' in answer.text) == (200, False)


def test_whoever_changes_the_password_is_told_in_the_new_session(browser: Browser) -> None:
    answer = browser.post("/dashboard/account/password", password=PASSWORD, new="another sentence")
    assert "Your password has changed" in browser.get(answer.headers["location"]).text


def test_a_list_says_it_too_with_its_filters(browser: Browser, agent_id: str) -> None:
    answer = browser.post("/dashboard/agents/revoke?status=active", agent=agent_id, sure="yes")
    assert answer.headers["location"] == "/dashboard/agents?status=active"
    assert "Revoked: their credentials" in browser.get(answer.headers["location"]).text
