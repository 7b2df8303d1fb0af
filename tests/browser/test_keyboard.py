"""Each flow of the dashboard is done with the keyboard alone, and what has the focus shows it."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR
from tests.browser.test_agents import register
from tests.sqlite import opened

MOST_PRESSES = 60
SKIP = "Skip to the content"
NAVIGATION = ("Account", "Sign out")
FOCUSED = """() => {
  const element = document.activeElement, box = element.getBoundingClientRect();
  const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(element);
  const ring = parseFloat(outlineOffset) + 2;
  const fits = (outer) => {
    const { left, right } = outer.getBoundingClientRect();
    return getComputedStyle(outer).overflowX === "visible"
      || (box.left - ring >= left && box.right + ring <= right);
  };
  let within = box.width && box.bottom > 0 && box.top < innerHeight;
  for (let outer = element; (outer = outer.parentElement);) within &&= fits(outer);
  return {
    name: element.computedName,
    shown: element.matches(":focus-visible") && outlineStyle === "solid" && outlineWidth === "2px"
      && within,
    leads: element.matches("a[href]:not([href^='#'], [href*=export]), button:not([type=button])"),
  };
}"""
"""What has the focus is called so, has a ring that nothing cuts off, and leads to another page."""


class Keyboard:
    """Of one page: all that a flow may use of it."""

    def __init__(self, page: Page, **known: str) -> None:
        self.page = page
        self.known = known

    def press(self, name: str, key: str, way: str = "Tab") -> None:
        """Press Tab, or Shift+Tab, until what is called so has the focus; then the key.

        The link that skips the navigation is used, but where the way leads there.
        """
        passed = []
        for _ in range(MOST_PRESSES):
            focused = self.page.evaluate(FOCUSED)
            if fnmatchcase(focused["name"], name):
                break
            passed.append(focused["name"])
            skips = focused["name"] == SKIP and way == "Tab" and name not in NAVIGATION
            self.page.keyboard.press("Enter" if skips else way)
        else:
            raise AssertionError(f"the keyboard does not reach {name}, only {passed}")
        assert focused["shown"], f"{name} does not show the focus"
        if focused["leads"] and key == "Enter":
            with self.page.expect_navigation(wait_until="domcontentloaded"):
                self.page.keyboard.press(key)
        else:
            self.page.keyboard.press(key)


Step = Callable[[Keyboard], None]


def press(name: str, key: str = "Enter") -> Step:
    """Go there, and press the key."""
    return lambda keyboard: keyboard.press(name, key)


def back(name: str, key: str = "Enter") -> Step:
    """As `press`, by Shift+Tab."""
    return lambda keyboard: keyboard.press(name, key, "Shift+Tab")


def write(name: str, text: str) -> Step:
    """Go there, and type in the place of what stands there, which Tab has selected."""

    def do(keyboard: Keyboard) -> None:
        keyboard.press(name, "Delete")
        keyboard.page.keyboard.type(text.format(**keyboard.known))

    return do


def see(text: str) -> Step:
    return lambda keyboard: expect(keyboard.page.locator("main")).to_contain_text(text)


def note_code(keyboard: Keyboard) -> None:
    """Read what is shown once."""
    keyboard.known["code"] = keyboard.page.locator("[data-secret] code").inner_text()


def type_address(path: str) -> Step:
    def do(keyboard: Keyboard) -> None:
        keyboard.page.goto(path.format(**keyboard.known))

    return do


def download(name: str) -> Step:
    def do(keyboard: Keyboard) -> None:
        with keyboard.page.expect_download() as got:
            keyboard.press(name, "Enter")
        assert got.value.suggested_filename.startswith("audit.")

    return do


def elsewhere(*steps: Step) -> Step:
    """In another browser."""

    def do(keyboard: Keyboard) -> None:
        browser = keyboard.page.context.browser
        assert browser is not None
        context = browser.new_context(base_url=keyboard.known["address"])
        other = Keyboard(context.new_page(), **keyboard.known)
        for step in steps:
            step(other)
        context.close()

    return do


def wait_long(keyboard: Keyboard) -> None:
    """Until the password is asked again."""
    with opened(Path(keyboard.known["database"])) as database:
        database.execute("UPDATE sessions SET authenticated_at = authenticated_at - 3600000")


def sign_in(email: str, password: str) -> tuple[Step, ...]:
    typed = (write("Email", email), write("Password", password), press("Sign in"))
    return (type_address("/dashboard/sign-in"), *typed, see("Overview"))


def token(kind: str) -> tuple[Step, ...]:
    return (
        press(f"{kind} tokens"), write("Name", f"my {kind}"), press("Make it"),
        press(f"Copy {kind} token"), see("Copied"), SAVED,
        back(f"Delete my {kind}, ending *"), press("Delete it"), see("The token is deleted"),
    )  # fmt: skip


SAVED = press("I have saved it")
AGENT = "/dashboard/agents/{agent}"
FLOWS: dict[str, tuple[Step, ...]] = {
    "a session is ended": (
        elsewhere(*sign_in(OPERATOR.email, OPERATOR.password)),
        type_address("/dashboard/account"),
        press("End the session of *"), see("That session has ended."),
    ),
    "a new agent, with the password asked again": (
        wait_long, type_address("/dashboard/agents"), press("New agent…"),
        write("Name*", "made by hand"), press("With a rotation secret*", "Space"),
        write("Your password", "not this one"), press("Make it"), see("Wrong password"),
        write("Your password", OPERATOR.password), press("Make it"),
        press("Show API key", "Space"), SAVED, see("none: only a developer can rotate"),
    ),
    "settings": (
        type_address(AGENT), back("Metadata", "Delete"),
        write("Metadata", '{{"team": "keys"}}'), back("When a stolen pair*", "ArrowDown"),
        back("Rotate every (days)", "ArrowUp"), back("Name", "Delete"), write("Name", "renamed"),
        press("Save"), see("Saved."), see("renamed"), see('"team": "keys"'), see("of 8 days"),
    ),
    "rotating": (
        type_address(AGENT), press("Rotate…"), press("Rotate now"), press("Show API key"),
        press("Hide API key", "Space"), press("Copy API key"), see("Copied"),
        press("Copy Rotation secret", "Space"), SAVED, see("the current one is 2"),
    ),
    "the rotation secret": (
        type_address(AGENT), back("Remove the rotation secret…"), press("Remove the secret"),
        see("none: only a developer can rotate"), back("Configure a rotation secret…"),
        press("Make a new secret"), press("Copy Rotation secret"), SAVED, see("configured"),
    ),
    "revoked, reinstated, deleted": (
        type_address(AGENT), press("Revoke…"), write("Reason*", "stolen"), press("Revoke it"),
        see("Revoked: its credentials"), press("Reinstate…"), press("Reinstate it"), SAVED,
        back("Delete this agent…"), press("Cancel"), back("Delete this agent…"),
        press("Delete it for good"), see("The agent is deleted."),
    ),
    "credits": (
        type_address(AGENT), back("Add, or take with a minus", "Delete"),
        write("Add, or take with a minus", "-101"), press("Change the balance"),
        see("would fall below 0"), write("Add, or take with a minus", "50"),
        write("Reason*", "thanks"), press("Change the balance"), see("The credits have changed."),
    ),
    "many revoked": (
        type_address("/dashboard/agents?q=herd"), back("Revoke the chosen…"),
        see("Choose at least one agent"), press("Choose herd *", "Space"), see("1 chosen"),
        back("Choose all on this page", "Space"), see("3 chosen"), back("Revoke the chosen…"),
        write("Reason*", "gone"), press("Revoke them"), see("Revoked: their credentials"),
    ),
    "the list": (
        type_address("/dashboard/agents"), write("Name, or the start of an id", "fleet"),
        press("Key age", "ArrowDown"), press("Sorted", "ArrowDown"), press("Search"),
        see("Agents with a fresh key that match “fleet”, oldest first."),
        press("List of agents", "ArrowRight"),
        press("Last used"), see("last used first"), back("Next"), see("51 of 51"), back("First"),
        see("1–50"), press("Status", "ArrowDown"), press("Search"), see("Active agents"),
        press("Clear filters"), see("Every agent of this installation"),
    ),
    "the trail": (
        type_address("/dashboard/audit"), write("Text in an entry*", "fleet 0"),
        write("Action", "agent.reg"), press("Outcome", "ArrowDown"), press("By", "ArrowDown"),
        write("From (UTC)", "01022026"), press("Search"), press("Last 24 hours"),
        press("As a table"), press("*, 20*"), see("10 entries"), back("by agent (remove)"),
        download("Export CSV"), download("Export JSON Lines"), back("agent.registered"),
        press("All of this agent"), see("1 entry"),
    ),
    "tokens": (
        type_address("/dashboard/tokens"), *token("Service"), *token("Enrolment"),
        *token("Developer"),
    ),
    "developers": (
        type_address("/dashboard/developers"), write("Email", "bob@example.com"),
        press("An operator*", "Space"), press("Make the code"), SAVED,
        press("Withdraw the code of bob@example.com"), see("The code is withdrawn"),
        press("New code for bob@example.com"), press("Make the code"), press("Show Code"),
        note_code,
        elsewhere(
            type_address("/dashboard/join"), write("Your code", "{code}"),
            write("New password", "a first long sentence"), press("Set the password and sign in"),
            press("Account"), write("Current password", "a first long sentence"),
            write("New password", "a second long sentence"), press("Change it"),
            see("Your password has changed."), press("Sign out"), see("You have signed out."),
            *sign_in("bob@example.com", "a second long sentence"),
        ),
        SAVED, press("Disable bob@example.com"), press("Disable them"), see("Disabled: their"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def operator_cookies(chromium: Browser, server: Server) -> list[Any]:
    """Of the operator, who has set the server up without a mouse."""
    context = chromium.new_context(base_url=address(server))
    code = (server.data_dir / "setup-code").read_text().strip()
    keyboard = Keyboard(context.new_page())
    for step in (
        type_address("/setup"),
        write("Setup code", code),
        write("Email", OPERATOR.email),
        write("Password", OPERATOR.password),
        press("Make me the operator"),
        see("Overview"),
    ):
        step(keyboard)
    cookies: list[Any] = list(context.cookies())
    context.close()
    with httpx.Client(base_url=server.url) as client:
        for name in [*(f"fleet {number:02}" for number in range(51)), "herd 1", "herd 2", "herd 3"]:
            client.post("/v1/auth/agent-register", json={"name": name})
    return cookies


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_needs_no_mouse(page: Page, server: Server, flow: str) -> None:
    agent = register(server, flow)["agentId"]
    database = str(server.data_dir / "keyturn.db")
    keyboard = Keyboard(page, agent=agent, database=database, address=address(server))
    for step in FLOWS[flow]:
        step(keyboard)
