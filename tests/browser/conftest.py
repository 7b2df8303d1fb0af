"""A real Chromium, a real server, and an operator who has set it up."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from keyturn.testing import Server, running_server
from tests.browser import program
from tests.browser.people import OPERATOR


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of a module, because it keeps an event loop running, which other tests want to make."""
    with running_chromium() as browser:
        yield browser


@contextlib.contextmanager
def running_chromium(*arguments: str) -> Iterator[Browser]:
    path = program.chromium()
    if path is None:
        pytest.fail("Chromium is not installed: there is no chromium-headless-shell", pytrace=False)
    with sync_playwright() as playwright:
        # Its sandbox needs more than containers and root give; all pages are ours.
        # An element tells its accessible name by the other flag alone.
        flags = ["--no-sandbox", "--enable-blink-features=ComputedAccessibilityInfo", *arguments]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """For all tests of a module."""
    with running_server(rotation_limit=1000, registration_limit=10_000) as running:
        yield running


@pytest.fixture(scope="module")
def operator_cookies(chromium: Browser, server: Server) -> list[Any]:
    """Of the operator, who has set the server up without looking at a page."""
    context = chromium.new_context(base_url=address(server))
    code = (server.data_dir / "setup-code").read_text().strip()
    sent: dict[str, str | float | bool] = {"code": code, **asdict(OPERATOR)}
    assert context.request.post("/setup", form=sent).ok
    cookies: list[Any] = list(context.cookies())
    context.close()
    return cookies


@pytest.fixture
def context(
    chromium: Browser, server: Server, operator_cookies: list[Any]
) -> Iterator[BrowserContext]:
    """A browser that knows nothing yet, of a server that is set up."""
    assert operator_cookies
    made = chromium.new_context(base_url=address(server), permissions=["clipboard-write"])
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def visitor(context: BrowserContext) -> Page:
    """A page of somebody who has not signed in."""
    return context.new_page()


@pytest.fixture
def page(context: BrowserContext, operator_cookies: list[Any]) -> Page:
    """A page of the operator, who has signed in."""
    context.add_cookies(operator_cookies)
    return context.new_page()


def address(server: Server) -> str:
    return f"http://localhost:{server.port}"
