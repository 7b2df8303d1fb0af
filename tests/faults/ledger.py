"""What clients were told, and whether the server still agrees after the worst has happened."""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apsw

from keyturn.testing import Server

from .connection import BROKEN, SELF, Connection
from .outcome import Outcome

PATIENCE = 60.0
UNLIMITED = {
    "rotation_limit": 1_000_000_000,
    "rotation_window": 1,
    "registration_limit": 1_000_000_000,
    "registration_total": 1_000_000_000,
}
"""Settings under which no limit is ever reached. The short window keeps the limiter small."""


@dataclass
class Agent:
    """An agent and every pair that it was given, oldest first."""

    id: str
    keys: list[str] = field(repr=False)
    secrets: list[str] = field(repr=False)
    unsure: bool = False
    """A rotation with the newest pair had no answer that tells whether it happened."""
    overtaken: bool = False
    """It did happen: the valid pair is one that nobody was told."""

    @property
    def generation(self) -> int:
        return len(self.keys) + self.overtaken

    def rotate(self, connection: Connection) -> int:
        """Rotate with the newest pair, note what the answer tells, and return its status.

        Raises:
            OSError, HTTPException: there was no answer (`BROKEN`).
        """
        doubtful, self.unsure = self.unsure, True
        answer = connection.rotate(self.keys[-1], self.secrets[-1])
        if answer.status == 200:
            pair = answer.json()
            self.keys.append(pair["apiKey"])
            self.secrets.append(pair["rotationSecret"])
        self.overtaken = doubtful and answer.status == 401
        # 503 says that nobody knows; every other answer is definite.
        self.unsure = answer.status == 503
        return answer.status


def register(connection: Connection) -> Agent | None:
    """A new agent, or None where the server can't make one now."""
    answer = connection.call("POST", "/v1/auth/agent-register", body={"name": "fault"})
    if answer.status != 201:
        return None
    made = answer.json()
    return Agent(made["agentId"], [made["apiKey"]], [made["rotationSecret"]])


def new_agent(connection: Connection) -> Agent:
    """A new agent, of a server that has no reason to refuse.

    Raises:
        RuntimeError: it refused.
    """
    agent = register(connection)
    if agent is None:
        raise RuntimeError("The server refused a registration.")
    return agent


def settle(server: Server, agent: Agent) -> None:
    """Try the same rotation until its answer is definite, waiting for the server if need be.

    Raises:
        TimeoutError: there was no definite answer for 60 seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while agent.unsure:
        if time.monotonic() > deadline:
            raise TimeoutError("The server did not come back.")
        with contextlib.suppress(*BROKEN), Connection(server.port) as connection:
            agent.rotate(connection)
        time.sleep(0.01)


def trail(connection: Connection, operator: str, **filters: str) -> list[dict[str, Any]]:
    """Every entry of the audit trail that the filters choose."""
    entries: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        query = urlencode({**filters, **cursor, "limit": "200"})
        page = _told(connection, f"/v1/audit?{query}", operator)
        entries += page["items"]
        if page["nextCursor"] is None:
            return entries
        cursor = {"cursor": page["nextCursor"]}


def _told(connection: Connection, path: str, token: str) -> dict[str, Any]:
    """What is answered in the end: a busy machine may need longer than the server waits."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = connection.call("GET", path, token=token)
        told: dict[str, Any] = answer.json()
        if answer.status == 200:
            return told
        if answer.status != 503 or time.monotonic() > deadline:
            raise AssertionError(f"{path} answers {answer.status}: {told['detail']}")
        time.sleep(0.1)


def verify(server: Server, operator: str, agents: list[Agent]) -> Outcome:
    """Compare the server with what its clients were told. Rotates each usable agent once."""
    outcome = Outcome()
    with Connection(server.port) as connection:
        for agent in agents:
            _verify_record(connection, operator, agent, outcome)
            _verify_pairs(connection, agent, outcome)
    return outcome


def _verify_record(connection: Connection, operator: str, agent: Agent, outcome: Outcome) -> None:
    record = connection.call("GET", f"/v1/agents/{agent.id}", token=operator)
    if not outcome.check(record.status == 200, f"agent {agent.id} is gone: {record.status}"):
        return
    seen = record.json()["generation"]
    outcome.check(
        seen == agent.generation,
        f"agent {agent.id} has generation {seen}, its client counts {agent.generation}",
    )
    entries = trail(connection, operator, agentId=agent.id, action="credential.rotated")
    outcome.check(
        len(entries) == seen - 1,
        f"agent {agent.id} has generation {seen} and {len(entries)} entries of rotations",
    )


def _verify_pairs(connection: Connection, agent: Agent, outcome: Outcome) -> None:
    newest = len(agent.keys)
    for number, key in enumerate(agent.keys, start=1):
        expected = 200 if number == newest and not agent.overtaken else 401
        status = connection.call("GET", SELF, token=key).status
        outcome.check(
            status == expected,
            f"key {number} of {newest} of agent {agent.id} answers {status}, not {expected}",
        )
    for number, secret in enumerate(agent.secrets, start=1):
        last = number == newest and not agent.overtaken
        answer = connection.rotate(agent.keys[-1], secret)
        outcome.check(
            answer.status == (200 if last else 401),
            f"newest key, secret {number} of {newest} of agent {agent.id}: {answer.status}",
        )


def check_database(path: Path) -> Outcome:
    """Open a stopped server's database as it was left, and have SQLite check all of it."""
    outcome = Outcome()
    database = apsw.Connection(str(path))
    try:
        for pragma in ("quick_check", "integrity_check"):
            found = [row[0] for row in database.execute(f"PRAGMA {pragma}")]
            outcome.check(found == ["ok"], f"PRAGMA {pragma} of {path.name}: {found[:3]}")
        broken = list(database.execute("PRAGMA foreign_key_check"))
        outcome.check(not broken, f"{len(broken)} broken references in {path.name}")
    finally:
        database.close()
    return outcome
