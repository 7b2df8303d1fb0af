"""An agent whose client library meets a fault, and what must be true of it afterwards."""

import json
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keyturn.client.credentials import Holder, Stored, parse_credential
from keyturn.client.credentials_file import CredentialsFile
from keyturn.core.credential import Kind
from keyturn.testing import Server

from .client_process import AGAIN, DONE, Clients
from .connection import ROTATE, SELF, Connection
from .ledger import new_agent, trail
from .outcome import Outcome
from .proxy import Exchange, Proxy

Pair = tuple[str, str]
"""An API key and its rotation secret."""

ROTATION = f"POST {ROTATE} ".encode()
"""How the request of a rotation begins."""
TRIES = 5
ROUND_TRIPS = 3
"""Successful answers that an agent may need after a fault, by the product's promise."""


@dataclass(frozen=True)
class Rotation:
    """A rotation that the server has answered well, whether or not the client has learnt it."""

    old: Pair = field(repr=False)
    new: Pair = field(repr=False)
    idempotency_key: str = field(repr=False)

    @classmethod
    def of(cls, exchange: Exchange) -> "Rotation":
        head, _, body = exchange.request.decode().partition("\r\n\r\n")
        given = json.loads(exchange.answer.partition(b"\r\n\r\n")[2])
        key, idempotency_key = (
            next(line for line in head.splitlines() if line.lower().startswith(name)).split()[-1]
            for name in ("authorization:", "idempotency-key:")
        )
        old = key, json.loads(body)["rotationSecret"]
        return cls(old, (given["apiKey"], given["rotationSecret"]), idempotency_key)


class Subject:
    """An agent with a credentials file, and a proxy of its own that sees all it is told.

    With `others` the proxy spreads its requests over all of these servers.
    """

    def __init__(self, server: Server, folder: Path, *others: Server) -> None:
        folder.mkdir()
        self.path = folder / "agent.json"
        self.proxy = Proxy(server.port, *(other.port for other in others))
        self.proxy.__enter__()
        self._server = server
        with Connection(server.port) as connection:
            made = new_agent(connection)
        self.id = made.id
        self._first = made.keys[0], made.secrets[0]
        _write(self.path, self.proxy.url, made.id, self._first)

    @property
    def rotations(self) -> list[Rotation]:
        return [
            Rotation.of(it)
            for it in self.proxy.exchanges
            if it.request.startswith(ROTATION) and _succeeded(it)
        ]

    @property
    def pairs(self) -> list[Pair]:
        """Every pair that the server has given out, oldest first."""
        return list(dict.fromkeys([self._first, *(it.new for it in self.rotations)]))

    def recover(self, clients: Clients, call: str, fault: str, outcome: Outcome) -> bool:
        """Start the agent's program anew, without faults, until the call succeeds."""
        before, codes = len(self.proxy.exchanges), []
        for _ in range(TRIES):
            codes.append(clients.call(call, self.path))
            if codes[-1] != AGAIN:
                break
        succeeded = sum(map(_succeeded, self.proxy.exchanges[before:]))
        outcome.check(codes[-1] == DONE, f"{fault}: LOCKED OUT, {call} ended with {codes}")
        outcome.check(succeeded <= ROUND_TRIPS, f"{fault}: {call} took {succeeded} round trips")
        return codes[-1] == DONE

    def close(self) -> None:
        self.proxy.__exit__()

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


def _succeeded(exchange: Exchange) -> bool:
    return exchange.answer.startswith(b"HTTP/1.1 2")


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
