"""The list of agents in a real browser: sorted, filtered, paged, and many revoked at once."""

import json

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.core.agent import DAY
from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR, reach, sign_in
from tests.sqlite import opened

FLEET = 53
OWNER = "grace@example.com"

pytestmark = pytest.mark.usefixtures("fleet")


@pytest.fixture(scope="module")
def fleet(server: Server, operator_cookies: list[object]) -> None:
    """Agents with numbers in their names, of which the first three are overdue; two are Grace's."""
    assert operator_cookies
    for number in range(FLEET):
        register(server, f"fleet {number:02}")
    made = json.loads(server.run("developer", "create", "--email", OWNER, "--json").stdout)
    for name in ("hers", "hers too"):
        httpx.post(
            f"{server.url}/v1/agents",
            headers={"authorization": f"Bearer {made['token']}"},
            json={"name": name, "rotationSecret": False},
        )
    with opened(server.data_dir / "keyturn.db") as database:
        overdue = "UPDATE agents SET key_created_at = key_created_at - ? WHERE name < 'fleet 03'"
        database.execute(overdue, (8 * DAY,))


def register(server: Server, name: str) -> str:
    answer = httpx.post(f"{server.url}/v1/auth/agent-register", json={"name": name})
    return str(answer.json()["agentId"])


def names(page: Page) -> list[str]:
    return page.locator(".agents a.name").all_inner_texts()


def test_a_column_sorts_and_turns_round_by_the_keyboard_alone(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet")
    assert names(page)[0] == "fleet 52"
    for sort, order, first in (("name", "ascending", "00"), ("-name", "descending", "52")):
        reach(page, "Agent")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/dashboard/agents?q=fleet&sort={sort}")
        head = page.get_by_role("columnheader", name="Agent")
        expect(head).to_have_attribute("aria-sort", order)
        assert names(page)[0] == f"fleet {first}"
    expect(page.get_by_text("Agents that match “fleet”, by name, Z to A.")).to_be_visible()


def test_filters_need_no_mouse_and_are_sent_when_all_are_chosen(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet")
    reach(page, "age")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Key age")).to_have_value("overdue")
    reach(page, "sort")
    page.keyboard.type("By name, A")
    reach(page, "Search")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/agents?q=fleet&age=overdue&sort=name")
    assert names(page) == ["fleet 00", "fleet 01", "fleet 02"]
    expect(page.get_by_text("1–3 of 3")).to_be_visible()
    reach(page, "Clear filters")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/agents?sort=name")


def test_what_is_chosen_with_the_mouse_goes_with_what_was_asked_for(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet")
    page.get_by_label("Status").click()
    page.get_by_label("Status").select_option("revoked")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/dashboard/agents?q=fleet&status=revoked")


def test_pages_keep_what_was_asked_for_by_the_keyboard_alone(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet&sort=name")
    expect(page.get_by_text("1–50 of 53")).to_be_visible()
    page.get_by_role("button", name="Revoke the chosen…").focus()
    reach(page, "Next")
    page.keyboard.press("Enter")
    expect(page.get_by_text("51–53 of 53")).to_be_visible()
    assert names(page) == ["fleet 50", "fleet 51", "fleet 52"]
    page.get_by_role("button", name="Revoke the chosen…").focus()
    reach(page, "First")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/agents?q=fleet&sort=name")
    assert names(page)[0] == "fleet 00"


def test_an_operator_sees_one_owners_agents_by_a_link(page: Page) -> None:
    page.goto("/dashboard/agents?sort=name&q=hers")
    page.get_by_role("link", name=OWNER).first.click()
    expect(page.get_by_text(f"Agents of {OWNER} that match “hers”")).to_be_visible()
    assert names(page) == ["hers", "hers too"]
    # Also where none of them fits, the owner is there to be taken back.
    page.get_by_label("Name, or the start of an id").fill("not hers")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="No agent is like that")).to_be_visible()
    expect(page.get_by_label("Owner").locator("option:checked")).to_have_text(OWNER)


@pytest.mark.parametrize(
    ("wrong", "query"),
    [
        ("status", "status=foo"),
        ("age", "age=old"),
        ("sort", "sort=x"),
        ("owner", "owner=nobody"),
        ("owner", "owner=%00"),
        ("q", "q=" + "x" * 101),
        ("cursor", "cursor=x"),
        ("cursor", "cursor=Y3JlYXRlZC0gMSAx&sort=credits"),
        ("after", "cursor=Y3JlYXRlZC0gMSAx&after=-1"),
        ("after", "cursor=Y3JlYXRlZC0gMSAx&after=%C2%B2"),
    ],
)
def test_what_an_address_may_not_say_is_told_with_a_way_back(
    server: Server, operator_cookies: list[dict[str, str]], wrong: str, query: str
) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in operator_cookies}
    answer = httpx.get(f"{address(server)}/dashboard/agents?{query}", cookies=cookies)
    assert answer.status_code == 400
    assert "There is no such list" in answer.text and f"<code>{wrong}: " in answer.text
    assert '<a href="/dashboard/agents">Show all agents</a>' in answer.text


def test_a_page_whose_agents_are_gone_leads_to_the_first(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet&cursor=Y3JlYXRlZC0gMSAx&after=50")
    expect(page.get_by_role("heading", name="There are no more")).to_be_visible()
    page.get_by_role("link", name="Back to the first page").click()
    page.wait_for_url("**/dashboard/agents?q=fleet")


def test_whoever_has_no_agents_is_told_how_to_have_one(server: Server) -> None:
    code = server.run("developer", "invite", "--email", "new@example.com").stdout.strip()
    with httpx.Client(base_url=address(server)) as client:
        client.post("/dashboard/join", data={"code": code, "password": "a very new password"})
        shown = client.get("/dashboard/agents").text
        filtered = client.get("/dashboard/agents?q=fleet").text
    # What registers without a token of theirs is not theirs to see.
    assert "curl -X POST" in shown and "enrolmentToken" in shown
    assert 'name="q"' not in shown
    assert "No agent is like that" in filtered and "Clear filters" in filtered


@pytest.mark.usefixtures("operator_cookies")
def test_all_of_a_page_are_revoked_without_javascript(chromium: Browser, server: Server) -> None:
    for number in range(3):
        register(server, f"<b>unscripted</b> {number}")
    context = chromium.new_context(base_url=address(server), java_script_enabled=False)
    page = context.new_page()
    sign_in(page, OPERATOR)
    page.goto("/dashboard/agents?q=unscripted")
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("button", name="Revoke the chosen…").click()
    expect(page.get_by_role("heading", name="Revoke 3 agents")).to_be_visible()
    expect(page.get_by_text("<b>unscripted</b> 0")).to_be_visible()
    page.get_by_label("Reason").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Revoke them").click()
    expect(page.get_by_text("Revoked: their credentials")).to_be_visible()
    expect(page.locator(".badge", has_text="Revoked")).to_have_count(3)
    assert "q=unscripted" in page.url
    context.close()


def test_where_one_was_deleted_meanwhile_the_others_are_revoked(page: Page, server: Server) -> None:
    gone, _ = (register(server, f"meanwhile {number}") for number in range(2))
    page.goto("/dashboard/agents?q=meanwhile")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Revoke the chosen…").click()
    other = page.context.new_page()
    other.goto(f"/dashboard/agents/{gone}/change/delete")
    other.get_by_role("button", name="Delete it for good").click()
    expect(other.get_by_text("The agent is deleted.")).to_be_visible()
    page.get_by_role("button", name="Revoke them").click()
    expect(page.get_by_text("Some of them were not there any more.")).to_be_visible()
    expect(page.locator(".badge", has_text="Revoked")).to_have_count(1)


def test_whoever_chooses_nobody_is_told_so(page: Page) -> None:
    page.goto("/dashboard/agents?q=fleet")
    page.get_by_role("button", name="Revoke the chosen…").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose at least one agent")


def test_nothing_is_wider_than_a_phone(page: Page, server: Server) -> None:
    agent_id = register(server, "w" * 100)
    page.set_viewport_size({"width": 360, "height": 700})
    for path in ("", "?sort=name&status=active&q=www", f"/{agent_id}"):
        page.goto(f"/dashboard/agents{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
