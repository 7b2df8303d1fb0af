"""Every page of the dashboard, with 100,000 agents and 1,000,000 entries of the trail."""

import json
import random
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench import report
from bench.checks.dataset import Dataset, dataset
from bench.machine import describe
from keyturn.core.agent import BUILT_IN_OWNER, DAY
from keyturn.storage.queries import load
from keyturn.storage.sqlite_file import connect
from keyturn.testing import Server

AGENTS, ENTRIES = 100_000, 1_000_000
ROUNDS = 15
TARGET_MILLISECONDS, TARGET_BYTES = 100, 100_000
EMAIL, PASSWORD = "bench@example.com", "a calm and long sentence"
ACTIONS = (
    ("credential.rotated", "success", "agent", 70),
    ("credential.rotation_refused", "refused", "anonymous", 20),
    ("agent.registered", "success", "agent", 9),
    ("credential.reused", "refused", "anonymous", 1),
)


def main(folder: Path, build: Path, docs: Path, write_docs: bool) -> None:
    """Measure each page, print the table, and keep it."""
    machine = describe(folder)
    made = dataset(build, AGENTS)
    shutil.copytree(made.data_dir, folder / "data")
    run = Dataset(folder, AGENTS)
    agent_id = add_trail(run)
    server = Server(run.data_dir)
    server.start()
    try:
        rows = measured(server, agent_id)
    finally:
        server.stop()
    head = ("page", "median ms", "slowest ms", "bytes", "first load, bytes", "")
    text = f"{report.machine_line(machine)} {AGENTS:,} agents, {ENTRIES:,} entries.\n\n"
    text += report.table([head, *(row_of(row) for row in rows)])
    (build / "dashboard.json").write_text(json.dumps({"machine": machine, "pages": rows}))
    print(text)
    if write_docs:
        report.write_into(docs / "dashboard.md", "bench", text)


def add_trail(run: Dataset) -> str:
    """Entries of the last 40 days; the id of an agent that has some."""
    chance = random.Random(7)
    connection = connect(run.database)
    connection.execute("PRAGMA synchronous = OFF")
    statement = load(run.database.queries)["add_audit_entry"]
    agents = [row[0] for row in connection.execute("SELECT id FROM agents LIMIT 5000")]
    with connection:
        connection.executemany(statement, entries(chance, agents))
    connection.close()
    return str(agents[0])


def entries(chance: random.Random, agents: list[str]) -> Iterator[dict[str, object]]:
    now = time.time_ns() // 1_000_000
    weights = [weight for *_, weight in ACTIONS]
    for _ in range(ENTRIES):
        action, outcome, actor, _ = chance.choices(ACTIONS, weights)[0]
        agent = chance.choice(agents)
        refused = {"reason": chance.choice(("invalid_credentials", "agent_revoked"))}
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "at": now - chance.randrange(40 * DAY),
            "actor_kind": actor,
            "actor_id": agent if actor == "agent" else None,
            "action": action,
            "outcome": outcome,
            "agent_id": agent,
            "developer_id": BUILT_IN_OWNER,
            "address": f"192.0.2.{chance.randrange(256)}",
            "user_agent": "keyturn-client/0.1",
            "request_id": f"{chance.getrandbits(128):032x}",
            "details": json.dumps({"generation": 2} if outcome == "success" else refused),
        }


def measured(server: Server, agent_id: str) -> list[dict[str, object]]:
    paths = {
        "sign-in": "/dashboard/sign-in",
        "overview": "/dashboard",
        "agents": "/dashboard/agents",
        "agents, searched": "/dashboard/agents?q=agent-99",
        "agents, nothing found": "/dashboard/agents?q=nobody",
        "agents, revoked": "/dashboard/agents?status=revoked",
        "agents, overdue": "/dashboard/agents?age=overdue",
        "agents by name": "/dashboard/agents?sort=name",
        "agents by due time": "/dashboard/agents?sort=due",
        "agents by last use": "/dashboard/agents?sort=-used&status=active&age=fresh",
        "agents of one owner": f"/dashboard/agents?owner={BUILT_IN_OWNER}&sort=-credits",
        "one agent": f"/dashboard/agents/{agent_id}",
        "audit": "/dashboard/audit",
        "audit, one action": "/dashboard/audit?action=credential.reused",
        "audit, nothing found": "/dashboard/audit?action=store.moved",
        "audit, one agent": f"/dashboard/audit?agent={agent_id}",
        "audit, refused": "/dashboard/audit?outcome=refused",
        "audit, text nobody wrote": "/dashboard/audit?q=nobody-wrote-this",
        "tokens": "/dashboard/tokens",
        "developers": "/dashboard/developers",
        "account": "/dashboard/account",
    }
    code = (server.data_dir / "setup-code").read_text().strip()
    with httpx.Client(base_url=f"http://localhost:{server.port}", timeout=60) as client:
        client.post("/setup", data={"code": code, "email": EMAIL, "password": PASSWORD})
        assets = sum(size_of(client, path) for path in linked(client))
        return [measure(client, name, path, assets) for name, path in paths.items()]


def measure(client: httpx.Client, name: str, path: str, assets: int) -> dict[str, object]:
    took: list[float] = []
    size = 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != 200:
            raise AssertionError(f"{path}: {answer.status_code}")
        size = len(answer.content)
    median = sorted(took)[ROUNDS // 2]
    return {
        "page": name,
        "median": median,
        "slowest": max(took),
        "bytes": size,
        "first": size + assets,
        "met": median < TARGET_MILLISECONDS and size + assets < TARGET_BYTES,
    }


def linked(client: httpx.Client) -> list[str]:
    """What a page of a first visit loads besides."""
    page = client.get("/dashboard/sign-in").text
    return [part.partition('"')[0] for part in page.split('="') if "/static/" in part[:30]]


def size_of(client: httpx.Client, path: str) -> int:
    return len(client.get(path).content)


def row_of(row: dict[str, object]) -> list[str]:
    return [
        str(row["page"]),
        f"{row['median']:.1f}",
        f"{row['slowest']:.1f}",
        f"{row['bytes']:,}",
        f"{row['first']:,}",
        "" if row["met"] else "MISSED",
    ]
