"""The dashboard of a service that keeps its agents in PostgreSQL."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from keyturn.testing import Server, running_server
from tests.browser.test_agents import accepts, open_agent, register
from tests.postgres import Cluster


@pytest.fixture(scope="module")
def server(postgres: Cluster) -> Iterator[Server]:
    with running_server(database=postgres.new_database()) as running:
        yield running


def test_a_stolen_pair_is_replaced_and_the_trail_tells_of_it(page: Page, server: Server) -> None:
    agent = register(server, "stolen")
    open_agent(page, "stolen")
    page.get_by_role("link", name="Rotate…").click()
    page.get_by_role("button", name="Rotate now").click()
    page.get_by_role("button", name="Show API key").click()
    new = page.locator("[data-secret='API key'] code").inner_text()
    assert (accepts(server, agent["apiKey"]), accepts(server, new)) == (False, True)

    page.goto("/dashboard/audit?q=STOLEN&outcome=done")
    expect(page.get_by_role("heading", name="2 entries")).to_be_visible()
    page.get_by_role("link", name="credential.rotated").click()
    expect(page.get_by_role("link", name="Open stolen")).to_be_visible()


SORTS = ["created", "name", "-name", "due", "-due", "used", "-used", "credits", "-credits"]


@pytest.mark.parametrize("sort", SORTS)
def test_agents_are_listed_in_every_order(page: Page, server: Server, sort: str) -> None:
    register(server, "listed")
    page.goto(f"/dashboard/agents?q=listed&sort={sort}")
    expect(page.get_by_role("link", name="listed", exact=True).first).to_be_visible()


def test_the_overview_and_the_other_pages_are_there(page: Page) -> None:
    for path in ("", "/tokens", "/developers", "/account", "/audit?last=24h", "/agents?age=fresh"):
        answer = page.goto(f"/dashboard{path}")
        assert answer is not None and answer.status == 200, path
