"""From nothing to a signed-in operator, in a real browser."""

import re

from playwright.sync_api import Browser, Page, expect

from keyturn.testing import Server, running_server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR, set_up, sign_in


def test_the_code_of_the_file_makes_the_first_operator_who_is_signed_in(chromium: Browser) -> None:
    with running_server() as server:
        context = chromium.new_context(base_url=address(server))
        page = context.new_page()
        set_up(page, server)

        page.goto("/setup")
        expect(page.get_by_role("heading", name="Set up already")).to_be_visible()
        (session,) = [c for c in context.cookies() if c["name"] == "keyturn-session"]
        assert session["httpOnly"] and session["sameSite"] == "Lax"
        context.close()


def test_a_wrong_code_is_refused_and_nobody_becomes_operator(chromium: Browser) -> None:
    with running_server() as server:
        context = chromium.new_context(base_url=address(server))
        page = context.new_page()
        page.goto("/setup")
        page.get_by_label("Setup code").fill("0000-0000-0000-0000")
        page.get_by_label("Email").fill(OPERATOR.email)
        page.get_by_label("Password").fill(OPERATOR.password)
        page.get_by_role("button", name="Make me the operator").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")

        set_up(page, server)
        context.close()


def test_signing_out_ends_the_session_and_signing_in_goes_on_where_it_was(
    visitor: Page,
) -> None:
    page = visitor
    page.goto("/dashboard/agents")
    expect(page).to_have_url(re.compile("sign-in"))
    page.get_by_label("Email").fill(OPERATOR.email)
    page.get_by_label("Password").fill(OPERATOR.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Agents", exact=True)).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out")).to_be_visible()
    page.goto("/dashboard/agents")
    expect(page).to_have_url(re.compile("sign-in"))


def test_a_wrong_password_is_told_and_the_email_stays(visitor: Page) -> None:
    visitor.goto("/dashboard/sign-in")
    visitor.get_by_label("Email").fill(OPERATOR.email)
    visitor.get_by_label("Password").fill("certainly not this one")
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.get_by_role("alert")).to_have_text("Wrong email or password")
    expect(visitor.get_by_label("Email")).to_have_value(OPERATOR.email)


def test_an_invited_developer_joins_with_the_code_and_sees_no_operators_pages(
    page: Page, chromium: Browser, server: Server
) -> None:
    page.goto("/dashboard/developers")
    page.get_by_label("Email").fill("bob@example.com")
    page.get_by_role("button", name="Make the code").click()
    page.get_by_role("button", name="Show Code").click()
    code = page.locator("[data-secret] code").inner_text()

    theirs = chromium.new_context(base_url=address(server))
    bob = theirs.new_page()
    bob.goto("/dashboard/join")
    bob.get_by_label("Your code").fill(code)
    bob.get_by_label("New password").fill("another long sentence")
    bob.get_by_role("button", name="Set the password and sign in").click()
    expect(bob.get_by_role("heading", name="Overview")).to_be_visible()
    expect(bob.get_by_role("link", name="Developers")).to_have_count(0)
    bob.goto("/dashboard/developers")
    expect(bob.get_by_role("alert")).to_have_text("Only an operator can do this")
    theirs.close()


def test_what_was_typed_stays_where_something_else_is_wrong_but_for_secrets(
    page: Page, visitor: Page
) -> None:
    page.goto("/dashboard/developers")
    page.get_by_label("Email").fill(OPERATOR.email)
    page.get_by_label("An operator").check()
    page.get_by_role("button", name="Make the code").click()
    expect(page.get_by_role("alert")).to_contain_text("exists already")
    expect(page.get_by_label("An operator")).to_be_checked()

    visitor.goto("/dashboard/join")
    visitor.get_by_label("Your code").fill("half of a code")
    visitor.get_by_label("New password").fill("another long sentence")
    visitor.get_by_role("button", name="Set the password and sign in").click()
    expect(visitor.get_by_role("alert")).to_contain_text("wrong, used, or has run out")
    expect(visitor.get_by_label("Your code")).to_have_value("")


def test_a_session_that_is_ended_elsewhere_leads_to_the_sign_in(
    page: Page, chromium: Browser, server: Server
) -> None:
    other = chromium.new_context(base_url=address(server))
    second = other.new_page()
    sign_in(second, OPERATOR)

    page.goto("/dashboard/account")
    page.get_by_role("button", name="End all others").click()
    expect(page.get_by_text("Every other session of yours has ended.")).to_be_visible()
    second.get_by_role("link", name="Agents", exact=True).click()
    expect(second).to_have_url(re.compile("sign-in"))
    other.close()
