"""What a developer does with agents, in a real browser, with JavaScript and without."""

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR, sign_in
from tests.sqlite import opened


def register(server: Server, name: str) -> dict[str, str]:
    answer = httpx.post(f"{server.url}/v1/auth/agent-register", json={"name": name})
    registered: dict[str, str] = answer.json()
    return registered


def accepts(server: Server, key: str) -> bool:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{server.url}/v1/agents/self", headers=headers).status_code == 200


def open_agent(page: Page, name: str) -> None:
    page.goto("/dashboard/agents")
    page.get_by_label("Name, or the start of an id").fill(name)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_rotating_shows_the_new_pair_once_and_never_again(page: Page, server: Server) -> None:
    agent = register(server, "rotated")
    open_agent(page, "rotated")
    page.get_by_role("link", name="Rotate…").click()
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_text("This is the only time you see this.")).to_be_visible()
    assert "•" in page.locator("[data-secret='API key'] code").inner_text()
    page.get_by_role("button", name="Show API key").click()
    new = page.locator("[data-secret='API key'] code").inner_text()
    assert not accepts(server, agent["apiKey"])
    assert accepts(server, new)
    assert new not in page.url

    page.get_by_role("link", name="I have saved it").click()
    expect(page.get_by_text("the current one is 2")).to_be_visible()
    for step in (page.go_back, page.go_forward, page.reload):
        step()
        assert new not in page.content()
    assert accepts(server, new)


def test_the_page_of_new_credentials_is_in_no_cache(page: Page, server: Server) -> None:
    register(server, "uncached")
    open_agent(page, "uncached")
    page.get_by_role("link", name="Rotate…").click()
    with page.expect_response(lambda answer: answer.request.method == "POST") as told:
        page.get_by_role("button", name="Rotate now").click()
    assert told.value.headers["cache-control"] == "no-store"


def test_revoking_and_reinstating_ask_for_a_reason_that_the_trail_keeps(
    page: Page, server: Server
) -> None:
    agent = register(server, "revoked")
    open_agent(page, "revoked")
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("Reason").fill("stolen laptop")
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("Revoked: its credentials are refused")).to_be_visible()
    expect(page.get_by_text("stolen laptop").first).to_be_visible()
    assert not accepts(server, agent["apiKey"])

    page.get_by_role("link", name="Reinstate…").click()
    page.get_by_role("button", name="Reinstate it").click()
    expect(page.get_by_role("heading", name="Reinstated")).to_be_visible()


def test_the_rotation_secret_is_replaced_and_removed(page: Page, server: Server) -> None:
    register(server, "secretive")
    open_agent(page, "secretive")
    page.get_by_role("link", name="Replace the rotation secret…").click()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_text("This is the only time")).to_be_visible()
    page.get_by_role("link", name="I have saved it").click()
    page.get_by_role("link", name="Remove the rotation secret…").click()
    page.get_by_role("button", name="Remove the secret").click()
    expect(page.get_by_text("none: only a developer can rotate")).to_be_visible()


def test_settings_are_saved_and_bad_metadata_is_told(page: Page, server: Server) -> None:
    register(server, "settled")
    open_agent(page, "settled")
    page.get_by_label("Name", exact=True).fill("renamed")
    page.get_by_label("Rotate every (days)").fill("30")
    page.get_by_label("When a stolen pair comes back").select_option("quarantine")
    page.get_by_label("Metadata").fill('{"team": ')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("must be a JSON object")
    expect(page.get_by_label("Metadata")).to_have_value('{"team": ')

    page.get_by_label("Metadata").fill('{"team": "research"}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("heading", name="renamed")).to_be_visible()


def test_credits_are_given_and_never_fall_below_nothing(page: Page, server: Server) -> None:
    register(server, "credited")
    open_agent(page, "credited")
    page.get_by_label("Add, or take with a minus").fill("-101")
    page.get_by_role("button", name="Change the balance").click()
    expect(page.get_by_role("alert")).to_contain_text("below 0")
    page.get_by_label("Add, or take with a minus").fill("50")
    page.get_by_role("button", name="Change the balance").click()
    expect(page.get_by_text("The credits have changed.")).to_be_visible()
    expect(page.get_by_label("Facts").get_by_text("150", exact=True)).to_be_visible()


def test_several_agents_are_revoked_at_once(page: Page, server: Server) -> None:
    agents = [register(server, f"bulk {number}") for number in range(3)]
    page.goto("/dashboard/agents?q=bulk")
    page.get_by_label("Choose all on this page").check()
    expect(page.get_by_text("3 chosen")).to_be_visible()
    page.get_by_role("button", name="Revoke the chosen…").click()
    expect(page.get_by_role("heading", name="Revoke 3 agents")).to_be_visible()
    page.get_by_role("button", name="Revoke them").click()
    expect(page.get_by_text("Revoked: their credentials")).to_be_visible()
    assert not any(accepts(server, agent["apiKey"]) for agent in agents)


def test_generations_are_a_picture_and_a_table_that_leads_to_the_entries(
    page: Page, server: Server
) -> None:
    agent = register(server, "<i>long-lived</i>")
    headers = {"authorization": f"Bearer {agent['apiKey']}"}
    body = {"rotationSecret": agent["rotationSecret"]}
    for _ in range(2):
        # The second time what was retired comes back.
        httpx.post(f"{server.url}/v1/agents/self/rotate-key", headers=headers, json=body)
    path = f"/dashboard/agents/{agent['agentId']}"
    page.goto(f"{path}/change/revoke")
    page.get_by_label("Reason").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("img", name="Generations 1 to 2")).to_be_visible()
    table = page.get_by_role("region", name="Generations as a table")
    rows = table.get_by_role("row")
    expect(rows.nth(1)).to_contain_text("Rotated by itself")
    expect(rows.nth(1)).to_contain_text("Revoked, <script>alert(1)</script>")
    expect(rows.nth(2)).to_contain_text("Registered itself")
    expect(rows.nth(2)).to_contain_text("Retired credential came back")
    entries = page.get_by_role("region", name="Last entries as a table")
    for link in (table.get_by_role("link").first, entries.get_by_role("link").first):
        assert re.fullmatch("/dashboard/audit/[0-9a-f-]{36}", link.get_attribute("href") or "")
    page.get_by_role("link", name="All of its trail").click()
    page.wait_for_url(f"**/dashboard/audit?agent={agent['agentId']}")


def test_a_deleted_agent_is_gone(page: Page, server: Server) -> None:
    register(server, "deleted")
    open_agent(page, "deleted")
    page.get_by_role("link", name="Delete this agent…").click()
    page.get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_text("The agent is deleted.")).to_be_visible()


def test_of_two_browsers_that_rotate_one_agent_the_second_is_told(
    page: Page, chromium: Browser, server: Server
) -> None:
    register(server, "contended")
    other = chromium.new_context(base_url=address(server))
    second = other.new_page()
    sign_in(second, OPERATOR)
    for each in (page, second):
        open_agent(each, "contended")
        each.get_by_role("link", name="Rotate…").click()
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_text("This is the only time")).to_be_visible()
    second.get_by_role("button", name="Rotate now").click()
    expect(second.get_by_role("alert")).to_contain_text("have changed since")
    other.close()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_a_name_that_looks_like_a_program_is_just_a_name(
    page: Page, server: Server, name: str
) -> None:
    page.on("dialog", lambda _: pytest.fail("a script has run", pytrace=False))
    agent = register(server, name)
    for path in ("", "/agents", f"/agents/{agent['agentId']}", "/audit"):
        page.goto(f"/dashboard{path}")
    page.goto(f"/dashboard/agents/{agent['agentId']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


@pytest.mark.usefixtures("operator_cookies")
def test_everything_works_without_javascript(chromium: Browser, server: Server) -> None:
    agent = register(server, "plain")
    context = chromium.new_context(base_url=address(server), java_script_enabled=False)
    page = context.new_page()
    sign_in(page, OPERATOR)
    open_agent(page, "plain")
    page.get_by_role("link", name="Rotate…").click()
    page.get_by_role("button", name="Rotate now").click()
    new = page.locator("[data-secret='API key'] code").inner_text()
    assert re.fullmatch("sk_live_ak_[0-9A-Za-z]{49}", new)
    assert accepts(server, new) and not accepts(server, agent["apiKey"])
    context.close()


def test_an_old_session_must_give_the_password_again(page: Page, server: Server) -> None:
    register(server, "guarded")
    open_agent(page, "guarded")
    with opened(server.data_dir / "keyturn.db") as database:
        database.execute("UPDATE sessions SET authenticated_at = authenticated_at - 3600000")
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("Your password").fill("certainly not this one")
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("alert")).to_contain_text("Wrong password")
    page.get_by_label("Your password").fill(OPERATOR.password)
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("Revoked: its credentials")).to_be_visible()
