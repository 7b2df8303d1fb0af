"""Tokens, developers and the own account, in a real browser."""

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import Person, sign_in


@pytest.mark.parametrize(
    ("kind", "name"),
    [("service", "Service"), ("enrolment", "Enrolment"), ("developer", "Developer")],
)
def test_a_token_is_made_shown_once_listed_masked_and_deleted(
    page: Page, kind: str, name: str
) -> None:
    page.goto(f"/dashboard/tokens?kind={kind}")
    page.get_by_label("Name").fill(f"my {kind}")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name=f"Show {name} token").click()
    token = page.locator("[data-secret] code").inner_text()
    page.get_by_role("link", name="I have saved it").click()
    row = page.get_by_role("row").filter(has_text=f"my {kind}")
    expect(row).to_contain_text(token[-4:])
    assert token not in page.content()

    row.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("The token is deleted")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=f"my {kind}")).to_have_count(0)


def test_an_enrolment_token_lets_as_many_agents_in_as_was_said(page: Page, server: Server) -> None:
    page.goto("/dashboard/tokens?kind=enrolment")
    page.get_by_label("Name").fill("two agents")
    page.get_by_label("Agents that may use it").fill("2")
    page.get_by_label("Days until it expires").fill("3")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name="Show Enrolment token").click()
    token = page.locator("[data-secret] code").inner_text()
    sent = {"enrolmentToken": token}
    answers = [httpx.post(f"{server.url}/v1/auth/agent-register", json=sent) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 401]
    page.get_by_role("link", name="I have saved it").click()
    expect(page.get_by_role("row").filter(has_text="two agents")).to_contain_text("Used up")


def test_a_new_agent_is_made_with_and_without_a_secret(page: Page) -> None:
    page.goto("/dashboard/agents/new")
    page.get_by_label("Name").fill("handmade")
    page.get_by_label("With a rotation secret").uncheck()
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("[data-secret]")).to_have_count(1)
    page.get_by_role("link", name="I have saved it").click()
    expect(page.get_by_text("none: only a developer can rotate")).to_be_visible()


def test_changing_the_password_ends_every_other_session(
    page: Page, chromium: Browser, server: Server
) -> None:
    carol = Person("carol@example.com", "carol's first password")
    code = server.run("developer", "invite", "--email", carol.email).stdout.strip()
    sent = {"code": code, "password": carol.password}
    assert httpx.post(f"{address(server)}/dashboard/join", data=sent).status_code == 303
    first = chromium.new_context(base_url=address(server))
    second = chromium.new_context(base_url=address(server))
    here, there = first.new_page(), second.new_page()
    sign_in(here, carol)
    sign_in(there, carol)

    here.goto("/dashboard/account")
    here.get_by_label("Current password").fill("certainly not this one")
    here.get_by_label("New password").fill("carol's second password")
    here.get_by_role("button", name="Change it").click()
    expect(here.get_by_role("alert")).to_have_text("Wrong password")
    here.get_by_label("Current password").fill(carol.password)
    here.get_by_label("New password").fill("carol's second password")
    here.get_by_role("button", name="Change it").click()
    expect(here.get_by_text("Your password has changed.")).to_be_visible()
    there.reload()
    expect(there).to_have_url(re.compile("sign-in"))
    sign_in(there, Person(carol.email, "carol's second password"))

    page.goto("/dashboard/developers")
    page.get_by_role("link", name="Disable carol@example.com").click()
    page.get_by_role("button", name="Disable them").click()
    expect(page.get_by_text("Disabled: their tokens")).to_be_visible()
    for each in (here, there):
        each.goto("/dashboard")
        expect(each).to_have_url(re.compile("sign-in"))
    first.close()
    second.close()


def test_a_new_code_ends_the_earlier_one_and_the_sessions(page: Page, server: Server) -> None:
    first = server.run("developer", "invite", "--email", "dan@example.com").stdout.strip()
    second = server.run("developer", "invite", "--email", "dan@example.com").stdout.strip()
    with httpx.Client(base_url=address(server)) as client:
        sent = {"password": "dan's long password"}
        dead = client.post("/dashboard/join", data={"code": first, **sent})
        good = client.post("/dashboard/join", data={"code": second, **sent})
        again = client.post("/dashboard/join", data={"code": second, **sent})
        assert [dead.status_code, good.status_code, again.status_code] == [403, 303, 403]
        assert client.get("/dashboard").status_code == 200

        page.goto("/dashboard/developers")
        page.get_by_role("link", name="New code for dan@example.com").click()
        page.get_by_role("button", name="Make the code").click()
        page.get_by_role("button", name="Show Code").click()
        third = page.locator("[data-secret] code").inner_text()
        assert client.get("/dashboard").status_code == 200
        with httpx.Client(base_url=address(server)) as other:
            answer = other.post("/dashboard/join", data={"code": third, **sent})
            assert answer.status_code == 303
        assert client.get("/dashboard").status_code == 303


def test_the_trail_says_who_signed_in_and_what_they_did(page: Page) -> None:
    page.goto("/dashboard/audit?action=developer.set_up")
    page.get_by_role("row").get_by_role("link", name="developer.set_up").click()
    expect(page.get_by_role("heading", name="developer.set_up")).to_be_visible()
    expect(page.get_by_label("Details").get_by_text("sessionId")).to_be_visible()


def test_times_are_in_the_viewers_zone_with_the_exact_utc_beside(
    chromium: Browser, server: Server, operator_cookies: list[dict[str, str]]
) -> None:
    context = chromium.new_context(base_url=address(server), timezone_id="Asia/Tokyo")
    context.add_cookies(operator_cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/dashboard/audit")
    time = page.locator("time").first
    title = time.get_attribute("title")
    assert title and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", title)
    shown = page.evaluate(
        "title => new Date(title).toLocaleString('en', "
        "{dateStyle: 'medium', timeStyle: 'short', timeZone: 'Asia/Tokyo'})",
        title,
    )
    expect(time).to_have_text(shown)
    context.close()
