"""axe finds nothing on any page, in light and dark."""

import re

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from keyturn.testing import Server
from tests.browser.people import reach

PATHS = (
    "/dashboard",
    "/dashboard/agents",
    "/dashboard/agents?q=nothing-is-called-so",
    "/dashboard/agents?status=active&age=fresh&sort=-name",
    "/dashboard/agents?cursor=Y3JlYXRlZC0gMSAx",
    "/dashboard/agents?sort=unheard-of",
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_a_form_is_refused(page: Page, agent: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"/dashboard/agents/{agent}")
    page.get_by_label("Metadata").fill("[")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title(re.compile("^Error: "))
    expect(page.get_by_label("Metadata")).to_be_focused()
    expect(page.get_by_label("Metadata")).to_have_accessible_description(
        re.compile("^Error: Metadata must be a JSON object.*at most 4,096 bytes")
    )
    reports = [Axe().run(page)]
    page.goto("/dashboard/agents")
    page.get_by_role("button", name="Revoke the chosen…").click()
    page.get_by_role("link", name="Choose at least one agent").click()
    expect(page.get_by_role("checkbox", name="Choose seen")).to_be_focused()
    reports.append(Axe().run(page))
    assert not sum(each.violations_count for each in reports), [
        each.generate_report() for each in reports
    ]


def test_no_page_is_wider_than_a_phone_at_its_narrowest(page: Page, server: Server) -> None:
    """WCAG 2.2, 1.4.10: 320 pixels, which is also 1,280 at 400 per cent."""
    page.set_viewport_size({"width": 320, "height": 640})
    named = {"name": "W" * 100}
    agent = httpx.post(f"{server.url}/v1/auth/agent-register", json=named).json()["agentId"]
    of_agent = f"/dashboard/agents/{agent}"
    wide = {}
    for path in (*PATHS, of_agent, f"{of_agent}/change/revoke"):
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            wide[path] = width
    assert not wide


def test_a_filter_is_chosen_with_the_keyboard_and_sent_when_its_user_says(page: Page) -> None:
    """WCAG 2.2, 3.2.2: each press of an arrow changes the choice, and none may leave the page."""
    page.goto("/dashboard/agents")
    page.get_by_label("Status").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Status")).to_have_value("revoked")
    reach(page, "Search")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?status=revoked$"))


def test_no_single_key_is_a_shortcut(page: Page) -> None:
    """WCAG 2.2, 2.1.4: whoever speaks to the computer types such keys by accident."""
    page.goto("/dashboard/audit")
    before = page.evaluate("document.activeElement.tagName")
    for key in "/?nsgjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.tagName") == before == "BODY"
