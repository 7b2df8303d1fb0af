"""Pictures of each page into docs/images: light, dark, and on a phone (`make screenshots`)."""

import sys
from pathlib import Path
from typing import Any

import apsw
import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from keyturn.core.agent import DAY
from keyturn.testing import Server, running_server
from tests.browser import program
from tests.browser.people import OPERATOR, set_up, sign_in

FOLDER = Path(__file__).parent.parent / "docs" / "images"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
PATHS = {
    "overview": "/dashboard",
    "agents": "/dashboard/agents",
    "agents-overdue": "/dashboard/agents?status=active&age=overdue&sort=due",
    "audit": "/dashboard/audit",
    "tokens": "/dashboard/tokens",
    "developers": "/dashboard/developers",
    "account": "/dashboard/account",
}
NAMES = (
    *("invoice-reader", "my-research-agent", "inbox-triage", "nightly-crawler", "release-notes"),
    *("translator", "support-drafts", "price-watcher"),
)
KEY_DAYS = (9, 2, 6, 4, 1, 0, 3, 0)
"""How old the agents' keys are in the pictures."""
ROTATIONS = (3, 2, 4, 1, 2, 5, 3, 2, 3, 1, 4, 6, 3, 2, 1, 3, 4, 2, 3, 5, 2, 1, 3, 2, 4, 3, 2, 3, 1)
"""How many there were on each of the days before today."""
COPIED = """
INSERT INTO audit (
    id, at, actor_kind, actor_id, action, outcome, agent_id, developer_id, address, details
)
SELECT lower(hex(randomblob(16))), at - ? * ?, actor_kind, actor_id, action, outcome, agent_id,
    developer_id, address, details
FROM audit WHERE action = 'credential.rotated' AND agent_id <> ? ORDER BY at DESC LIMIT 1
"""
ENTRY_DAYS = (31, 22, 13, 3)
"""How long ago the entries of the last one were made."""


def main() -> None:
    chromium = program.chromium()
    if chromium is None:
        sys.exit("Chromium is not installed: there is no chromium-headless-shell")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        running_server(rotation_limit=100) as server,
        sync_playwright() as playwright,
    ):
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        first = browser.new_page(base_url=f"http://localhost:{server.port}")
        set_up(first, server)
        agent_id = furnish(server)
        for look in LOOKS:
            take(browser, server, agent_id, look)
        browser.close()


def furnish(server: Server) -> str:
    """Agents with a past; the id of the one with most of it."""
    agents = [register(server, name) for name in NAMES]
    first = pair = agents[-1]
    for _ in range(3):
        used(server, pair)
        pair = rotated(server, pair)
    for agent in agents[:6]:
        used(server, agent)
    rotated(server, agents[-2])
    server.stop()
    age(server, str(pair["agentId"]))
    server.start()
    rotated(server, first)
    return str(pair["agentId"])


def age(server: Server, agent_id: str) -> None:
    """Put what has happened some weeks back, which only a database that is thrown away may."""
    with apsw.Connection(str(server.data_dir / "keyturn.db")) as database:
        database.set_busy_timeout(5000)
        database.execute("DROP TRIGGER audit_is_never_changed")
        database.execute("UPDATE retired SET retired_at = retired_at - ?", (DAY,))
        query = "SELECT seq FROM audit WHERE agent_id = ? ORDER BY seq"
        entries = list(database.execute(query, (agent_id,)))
        for (seq,), days in zip(entries, ENTRY_DAYS, strict=False):
            database.execute("UPDATE audit SET at = at - ? WHERE seq = ?", (days * DAY, seq))
        for name, days in zip(NAMES, KEY_DAYS, strict=True):
            database.execute(
                "UPDATE agents SET key_created_at = key_created_at - ?, "
                "created_at = created_at - ? WHERE name = ?",
                (days * DAY, ENTRY_DAYS[0] * DAY, name),
            )
        for days, count in enumerate(ROTATIONS, 1):
            database.executemany(COPIED, [(days, DAY, agent_id)] * count)


def register(server: Server, name: str) -> dict[str, str]:
    answer = httpx.post(f"{server.url}/v1/auth/agent-register", json={"name": name})
    registered: dict[str, str] = answer.json()
    return registered


def used(server: Server, pair: dict[str, str]) -> None:
    headers = {"authorization": f"Bearer {pair['apiKey']}"}
    httpx.get(f"{server.url}/v1/agents/self", headers=headers)


def rotated(server: Server, pair: dict[str, str]) -> dict[str, str]:
    answer = httpx.post(
        f"{server.url}/v1/agents/self/rotate-key",
        headers={"authorization": f"Bearer {pair['apiKey']}"},
        json={"rotationSecret": pair["rotationSecret"]},
    )
    issued: dict[str, str] = answer.json()
    return issued


def take(browser: Browser, server: Server, agent_id: str, look: str) -> None:
    context = browser.new_context(base_url=f"http://localhost:{server.port}", **LOOKS[look])
    page = context.new_page()
    page.goto("/dashboard/sign-in")
    shoot(page, "sign-in", look)
    sign_in(page, OPERATOR)
    agent = {"agent": f"/dashboard/agents/{agent_id}"}
    for name, path in (PATHS | agent).items():
        page.goto(path)
        shoot(page, name, look)
    page.goto("/dashboard/audit?action=credential.reused")
    page.locator(".trail .name").first.click()
    shoot(page, "entry", look)
    page.goto(f"/dashboard/agents/{agent_id}/change/rotate")
    shoot(page, "rotate", look)
    page.get_by_role("button", name="Rotate now").click()
    shoot(page, "shown-once", look)
    context.close()


def shoot(page: Page, name: str, look: str) -> None:
    page.screenshot(path=FOLDER / f"{name}-{look}.png", animations="disabled")


if __name__ == "__main__":
    main()
