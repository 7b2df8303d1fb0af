"""A developer looks into the trail, in a real browser."""

import csv
import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR, sign_in
from tests.browser.test_agents import register


@pytest.fixture(scope="module")
def agents(server: Server) -> list[dict[str, str]]:
    """More agents than a page has entries, one of whom has been refused as well."""
    made = [register(server, f"explored {number}") for number in range(55)]
    headers = {"authorization": f"Bearer {made[0]['apiKey']}"}
    path = f"{server.url}/v1/agents/self/rotate-key"
    httpx.post(path, headers=headers, json={"rotationSecret": made[1]["rotationSecret"]})
    return made


def shown(page: Page) -> list[str]:
    """The addresses of the entries that the page lists."""
    links = page.locator(".trail .name").all()
    return [link.get_attribute("href") or "" for link in links]


def test_every_page_keeps_what_was_looked_for_and_leads_back(
    page: Page, agents: list[dict[str, str]]
) -> None:
    page.goto("/dashboard/audit")
    page.get_by_label("Text in an entry").fill("EXPLORED")
    page.get_by_label("Action").select_option("agent.registered")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name=f"{len(agents)} entries")).to_be_visible()
    first = shown(page)
    assert len(first) == 50
    page.get_by_role("link", name="Older", exact=True).click()
    expect(page.get_by_label("Text in an entry")).to_have_value("EXPLORED")
    expect(page.get_by_label("Action")).to_have_value("agent.registered")
    expect(page.get_by_text("5 entries, and no older ones")).to_be_visible()
    assert not set(first) & set(shown(page))
    page.get_by_role("link", name="Newest", exact=True).click()
    expect(page.locator(".trail .name")).to_have_count(50)
    assert shown(page) == first


def test_one_filter_after_the_other_is_taken_away(page: Page, agents: list[dict[str, str]]) -> None:
    agent = agents[0]
    asked = f"agent={agent['agentId']}&outcome=refused&by=anonymous&last=24h"
    page.goto(f"/dashboard/audit?{asked}")
    row = page.get_by_role("row").filter(has_text="credential.rotation_refused")
    expect(row).to_contain_text("explored 0")
    expect(row).to_contain_text("invalid_credentials")
    page.get_by_role("link", name="refused (remove)").click()
    page.get_by_role("link", name="by anonymous (remove)").click()
    expect(page.get_by_role("row").filter(has_text="agent.registered")).to_have_count(1)
    expect(page.get_by_role("link", name="Last 24 hours", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    page.get_by_role("link", name="explored 0 (remove)").click()
    expect(page).to_have_url(re.compile(r"/dashboard/audit\?last=24h$"))


@pytest.mark.usefixtures("agents")
def test_a_bar_narrows_the_time_and_so_does_the_table_beside_it(page: Page) -> None:
    page.goto("/dashboard/audit?last=24h")
    bar = page.locator(".when svg a").last
    count = (bar.locator("title").text_content() or "").rpartition(" ")[2]
    bar.click()
    expect(page).to_have_url(re.compile(r"since=\d{4}-\d\d-\d\dT.*until="))
    for label in ("From (UTC)", "To (UTC)"):
        expect(page.get_by_label(label)).to_have_value(re.compile("T"))
    expect(page.get_by_role("heading", name=re.compile(f"^{count} entr")).first).to_be_visible()
    page.get_by_role("link", name="All time").click()
    page.get_by_text("As a table").click()
    page.get_by_role("region", name="Entries by time").get_by_role("link").first.click()
    expect(page.get_by_label("From (UTC)")).to_have_value(re.compile(r"^\d{4}-\d\d-\d\d$"))


WRONG = [
    ("since=yesterday", "From must be a day", "From (UTC)"),
    ("until=2026-13-01", "To must be a day", "To (UTC)"),
    ("until=9999-12-31", "To must be a day", "To (UTC)"),
    ("since=2026-02-01&until=2026-01-31", "To must be after From", "To (UTC)"),
    ("agent=me", "Agent must be an agent's whole id", "Agent's id"),
    ("action=no.such", "Action must be one of the list", "Action"),
    ("outcome=x", "Outcome must be one of the list", "Outcome"),
    ("by=x", "By must be one of the list", "By"),
    ("last=x", "Time must be one of the list", None),
]


@pytest.mark.parametrize(
    ("path", "asked", "told", "field"),
    [
        *(("/dashboard/audit", *case) for case in WRONG),
        *(("/dashboard/audit/export", *case) for case in WRONG[:1]),
        *(("/dashboard/audit", f"cursor={place}", "go on from", None) for place in ("NQ", "x")),
    ],
)
def test_what_can_not_be_looked_for_is_told_beside_the_form(
    page: Page, path: str, asked: str, told: str, field: str | None
) -> None:
    answer = page.goto(f"{path}?{asked}&q=kept")
    assert answer and answer.status == 400
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.get_by_label("Text in an entry")).to_have_value("kept")
    if field:
        expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("link", name="Show all entries").click()
    expect(page.get_by_role("heading", name="Newest entries")).to_be_visible()


def test_an_empty_answer_says_how_to_go_on(page: Page) -> None:
    page.goto("/dashboard/audit?since=2000-01-01&until=2000-01-02")
    expect(page.get_by_role("heading", name="No entry is like that")).to_be_visible()
    page.get_by_role("link", name="show all entries").click()
    expect(page.locator(".trail")).to_be_visible()


def test_an_entry_leads_to_its_agent_and_a_missing_one_back_to_the_trail(
    page: Page, agents: list[dict[str, str]]
) -> None:
    page.goto(f"/dashboard/audit?agent={agents[0]['agentId']}&action=agent.registered")
    page.get_by_role("link", name="agent.registered", exact=True).first.click()
    expect(page.get_by_role("heading", name="agent.registered")).to_be_visible()
    link = page.get_by_label("What happened").get_by_role("link").last.get_attribute("href") or ""
    assert page.url.endswith(link)
    page.get_by_role("link", name="Open explored 0").click()
    expect(page.get_by_role("heading", name="explored 0")).to_be_visible()
    answer = page.goto("/dashboard/audit/%00")
    assert answer and answer.status == 404
    page.get_by_role("link", name="Go to the trail").click()
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()


def test_an_export_has_what_the_page_shows(page: Page, agents: list[dict[str, str]]) -> None:
    page.goto("/dashboard/audit?action=agent.registered&q=explored")
    for name, read in (("CSV", _csv_ids), ("JSON Lines", _json_ids)):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Export {name}").click()
        assert download.value.suggested_filename == f"audit.{'csv' if name == 'CSV' else 'jsonl'}"
        found = read(download.value.path())
        assert len(found) == len(agents)
        assert found[:50] == [href.rpartition("/")[2] for href in shown(page)]


@pytest.mark.usefixtures("operator_cookies")
def test_exploring_needs_no_javascript(
    chromium: Browser, server: Server, agents: list[dict[str, str]]
) -> None:
    context = chromium.new_context(base_url=address(server), java_script_enabled=False)
    page = context.new_page()
    sign_in(page, OPERATOR)
    page.goto("/dashboard/audit")
    page.get_by_label("Outcome").select_option("refused")
    page.get_by_label("Agent's id").fill(agents[0]["agentId"])
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="credential.rotation_refused").click()
    expect(page.get_by_label("Details").get_by_text("invalid_credentials")).to_be_visible()
    context.close()


def _csv_ids(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


def _json_ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]
