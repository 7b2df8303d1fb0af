"""An agent whose client library meets a fault, and what must be true of it afterwards."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keyturn.client.credentials import Holder, Stored, parse_credential
from keyturn.client.credentials_file import CredentialsFile
from keyturn.core.credential import Kind
from keyturn.testing import Server

from .client_process import AGAIN, DONE, Clients
from .connection import SELF, Connection
from .ledger import new_agent, trail
from .outcome import Outcome
from .relay import Exchange, Relay

Pair = tuple[str, str]
"""An API key and its rotation secret."""

TRIES = 5
ROUND_TRIPS = 3
"""Successful answers that an agent may need after a fault, by the product's promise."""


class Subject:
    """An agent with a credentials file and a relay of its own."""

    def __init__(self, server: Server, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "agent.json"
        self.relay = Relay(server.port)
        self._server = server
        with Connection(server.port) as connection:
            made = new_agent(connection)
        self.id = made.id
        self.first = made.keys[0], made.secrets[0]
        _write(self.path, f"http://127.0.0.1:{self.relay.port}", made.id, self.first)

    @property
    def rotations(self) -> list[Exchange]:
        """Every rotation that the server has answered well."""
        return [it for it in self.relay.exchanges if it.is_rotation and it.status == 200]

    @property
    def pairs(self) -> list[Pair]:
        """Every pair that the server has given out, oldest first."""
        return list(dict.fromkeys([self.first, *(it.pair for it in self.rotations)]))

    def recover(self, clients: Clients, call: str, fault: str, outcome: Outcome) -> bool:
        """Start the agent's program anew, without faults, until the call succeeds."""
        self.relay.break_next(None)
        self.relay.settle()
        before, codes = len(self.relay.exchanges), []
        for _ in range(TRIES):
            codes.append(clients.call(call, self.path))
            if codes[-1] != AGAIN:
                break
        succeeded = [it for it in self.relay.exchanges[before:] if it.status // 100 == 2]
        outcome.check(codes[-1] == DONE, f"{fault}: LOCKED OUT, {call} ended with {codes}")
        outcome.check(
            len(succeeded) <= ROUND_TRIPS, f"{fault}: {call} took {len(succeeded)} round trips"
        )
        return codes[-1] == DONE

    def look_around(self, fault: str, outcome: Outcome) -> None:
        """What the last writer has left: nothing but the file and its lock, for its user only."""
        found = {it.name: it for it in self.path.parent.iterdir()}
        allowed = {self.path.name, f"{self.path.name}.lock"}
        outcome.check(set(found) <= allowed, f"{fault}: {len(found)} files are left")
        modes = {stat.S_IMODE(it.stat().st_mode) for it in found.values()}
        outcome.check(modes == {0o600}, f"{fault}: files have the modes {sorted(map(oct, modes))}")

    def verify(self, operator: str, fault: str, outcome: Outcome) -> None:
        """Compare the file with the server."""
        pairs, kept = self.pairs, read(self.path)
        outcome.check(kept == (*pairs[-1], None), f"{fault}: the file has not the newest pair")
        with Connection(self._server.port) as connection:
            for number, (key, secret) in enumerate(pairs, start=1):
                expected = 200 if number == len(pairs) else 401
                status = connection.call("GET", SELF, token=key).status
                outcome.check(
                    status == expected,
                    f"{fault}: key {number} of {len(pairs)} answers {status}, not {expected}",
                )
                if expected == 401:
                    status = connection.rotate(key, secret).status
                    outcome.check(status == 401, f"{fault}: pair {number} rotates: {status}")
            record = connection.call("GET", f"/v1/agents/{self.id}", token=operator).json()
            entries = trail(connection, operator, agentId=self.id, action="credential.rotated")
        generation = record["generation"]
        outcome.check(
            generation == len(pairs),
            f"{fault}: {len(pairs)} pairs were given out in {generation} generations",
        )
        outcome.check(
            len(entries) == generation - 1,
            f"{fault}: {len(entries)} entries of rotations in {generation} generations",
        )


def read(path: Path) -> tuple[str, str, str | None]:
    """The API key, the rotation secret and the pending idempotency key of a file."""
    members: dict[str, Any] = json.loads(path.read_bytes())
    current, pending = members["current"], members["pending"]
    return current["apiKey"], current["rotationSecret"], pending and pending["idempotencyKey"]


def _write(path: Path, url: str, agent_id: str, pair: Pair) -> None:
    key, secret = (
        parse_credential(text, kind)
        for text, kind in zip(pair, (Kind.API_KEY, Kind.ROTATION_SECRET), strict=True)
    )
    if key is None or secret is None:
        raise RuntimeError("The server has given out what is no pair.")
    now = datetime.now(UTC)
    holder = Holder(agent_id, "fault", key, secret, now, now + timedelta(days=7))
    CredentialsFile(path).write(Stored(url, holder, None))
