"""axe finds nothing on any page, in light and dark; and the keyboard alone is enough."""

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from keyturn.testing import Server
from tests.browser.people import OPERATOR

PATHS = (
    "/dashboard",
    "/dashboard/agents",
    "/dashboard/agents?q=nothing-is-called-so",
    "/dashboard/agents/new",
    "/dashboard/audit",
    "/dashboard/audit?action=agent.&outcome=done&by=agent&q=seen&last=7d",
    "/dashboard/audit?since=2000-01-01T10:00&until=2000-01-02",
    "/dashboard/audit?since=yesterday",
    "/dashboard/audit/no-such-entry",
    "/dashboard/tokens",
    "/dashboard/tokens?kind=enrolment",
    "/dashboard/tokens?kind=developer",
    "/dashboard/developers",
    "/dashboard/account",
    "/dashboard/sign-in",
    "/dashboard/join",
    "/dashboard/agents/no-such-agent",
    "/setup",
)


@pytest.fixture(scope="module")
def agent(server: Server) -> str:
    """The id of an agent with a past, which makes every part of its page appear."""
    pair = httpx.post(f"{server.url}/v1/auth/agent-register", json={"name": "seen"}).json()
    httpx.post(
        f"{server.url}/v1/agents/self/rotate-key",
        headers={"authorization": f"Bearer {pair['apiKey']}"},
        json={"rotationSecret": pair["rotationSecret"]},
    )
    agent_id: str = pair["agentId"]
    return agent_id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(page: Page, agent: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    changes = ("rotate", "rotation-secret", "remove-secret", "revoke", "delete")
    of_agent = [f"/dashboard/agents/{agent}"]
    of_agent += [f"/dashboard/agents/{agent}/change/{change}" for change in changes]
    page.goto(f"/dashboard/audit?agent={agent}&action=credential.rotated")
    of_agent += [page.locator(".trail .name").first.get_attribute("href") or ""]
    found = {}
    for path in (*PATHS, *of_agent):
        page.goto(path)
        results = Axe().run(page)
        if results.violations_count:
            found[path] = results.generate_report()
    assert not found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_credentials_are_shown(page: Page, agent: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"/dashboard/agents/{agent}/change/rotate")
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_text("This is the only time")).to_be_visible()
    results = Axe().run(page)
    assert not results.violations_count, results.generate_report()


def test_signing_in_and_rotating_need_no_mouse(visitor: Page, agent: str) -> None:
    page = visitor
    page.goto(f"/dashboard/agents/{agent}")
    page.keyboard.type(OPERATOR.email)
    page.keyboard.press("Tab")
    page.keyboard.type(OPERATOR.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="seen")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    reach(page, "Rotate…")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Rotate the credentials")).to_be_visible()
    reach(page, "Rotate now")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is the only time")).to_be_visible()


def reach(page: Page, text: str) -> None:
    """Press Tab until what has this text has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == text:
            return
    raise AssertionError(f"the keyboard does not reach {text}")
