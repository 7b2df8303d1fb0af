"""Who uses the dashboard in these tests, and what all of them do."""

from dataclasses import dataclass

from playwright.sync_api import Page, expect

from keyturn.testing import Server


@dataclass(frozen=True)
class Person:
    email: str
    password: str


OPERATOR = Person("ada@example.com", "a calm and long sentence")


def set_up(page: Page, server: Server, person: Person = OPERATOR) -> None:
    """The first run: with the code of the file, because there is no terminal."""
    page.goto("/setup")
    page.get_by_label("Setup code").fill((server.data_dir / "setup-code").read_text().strip())
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Make me the operator").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def sign_in(page: Page, person: Person) -> None:
    page.goto("/dashboard/sign-in")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def reach(page: Page, text: str) -> None:
    """Press Tab until what has this text, or this id, has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if text in page.evaluate(
            "[document.activeElement.id, document.activeElement.textContent.trim()]"
        ):
            return
    raise AssertionError(f"the keyboard does not reach {text}")
