"""What SQLite alone gives: the rows of a rotation, with nothing around them.

The product's own schema, statements and connection settings, through apsw, in one thread. For N
rotations: count an attempt of each in `limits.db` and commit; then, in `keyturn.db`, for each read
the agent by its key, replace its credentials, end its receipt, keep what was retired, add the
trail's entry; commit. Checkpoints are taken by other connections in the background, as in the
product.
"""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from bench.clients import new_address
from bench.servers import LIMIT, SETTINGS
from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.storage.checkpoints import Checkpoints
from keyturn.storage.queries import load
from keyturn.storage.sqlite import CHECKPOINT_PAGES
from keyturn.storage.sqlite_file import (
    Database,
    connect,
    credentials_database,
    limits_database,
    prepare,
)

AGENTS = 1024
SERVER_KEY = "k1"
WINDOW = SETTINGS["rotation_window"] * 1000
"""Milliseconds that an attempt counts."""


@dataclass
class _Agent:
    id: str
    key_mac: bytes
    secret_mac: bytes
    generation: int = 1


class Raw:
    """A database of agents and one of attempts, rotated by SQL alone."""

    def __init__(self, folder: Path) -> None:
        self._credentials = _File(credentials_database(folder / "keyturn.db"))
        self._limits = _File(limits_database(folder / "limits.db"))
        self._agents = [
            _Agent(str(uuid.uuid4()), os.urandom(32), os.urandom(32)) for _ in range(AGENTS)
        ]
        self._turn = 0
        with self._credentials.connection:
            self._credentials.change("add_server_key", id=SERVER_KEY, verifier=b"", now=0)
            for agent in self._agents:
                self._add(agent)

    def commits(self, batch: int, seconds: float) -> list[int]:
        """Commit batches of rotations for some seconds; nanoseconds that each of them took."""
        took: list[int] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter_ns()
            addresses = [new_address() for _ in range(batch)]
            with self._limits.transaction():
                for address in addresses:
                    self._take_attempt(f"rotation {address}")
            with self._credentials.transaction():
                for address in addresses:
                    self._rotate(address)
            took.append(time.perf_counter_ns() - start)
        return took

    def close(self) -> None:
        """End the threads of the checkpoints and close every connection."""
        self._limits.close()
        self._credentials.close()

    def _take_attempt(self, bucket: str) -> None:
        now = _now()
        self._limits.read(
            "counted_attempts", bucket=bucket, after=now - WINDOW, now=now, quota=LIMIT
        )
        self._limits.change("add_attempt", bucket=bucket, now=now, expires_at=now + WINDOW)

    def _rotate(self, address: str) -> None:
        self._turn = (self._turn + 1) % AGENTS
        agent, now = self._agents[self._turn], _now()
        key_mac, secret_mac = os.urandom(32), os.urandom(32)
        self._credentials.read("agent_by_key_or_newest", mac=agent.key_mac)
        self._credentials.change(
            "replace_credentials",
            key_mac=key_mac,
            key_server_key=SERVER_KEY,
            key_last4="0000",
            secret_mac=secret_mac,
            secret_server_key=SERVER_KEY,
            now=now,
            used_at=now,
            used_from=address,
            id=agent.id,
            generation=agent.generation,
            status="active",
        )
        self._credentials.read("end_receipt", agent_id=agent.id, generation=agent.generation)
        self._credentials.change(
            "retire_credentials",
            agent_id=agent.id,
            generation=agent.generation,
            key_mac=agent.key_mac,
            key_server_key=SERVER_KEY,
            secret_mac=agent.secret_mac,
            secret_server_key=SERVER_KEY,
            idempotency_mac=None,
            idempotency_server_key=None,
            now=now,
            by_agent=True,
        )
        agent.key_mac, agent.secret_mac = key_mac, secret_mac
        agent.generation += 1
        self._record(agent, address, now)

    def _record(self, agent: _Agent, address: str, now: int) -> None:
        self._credentials.change(
            "add_audit_entry",
            id=str(uuid.uuid4()),
            at=now,
            actor_kind="agent",
            actor_id=agent.id,
            action="credential.rotated",
            outcome="success",
            agent_id=agent.id,
            developer_id=BUILT_IN_OWNER,
            address=address,
            user_agent=None,
            request_id=uuid.uuid4().hex,
            details=json.dumps({"generation": agent.generation}),
        )

    def _add(self, agent: _Agent) -> None:
        self._credentials.change(
            "add_agent",
            id=agent.id,
            developer_id=BUILT_IN_OWNER,
            name="agent",
            key_mac=agent.key_mac,
            key_server_key=SERVER_KEY,
            key_last4="0000",
            secret_mac=agent.secret_mac,
            secret_server_key=SERVER_KEY,
            now=0,
            rotation_period_days=7,
            credit_balance=100,
            self_registered=1,
        )


class _File:
    """One database, with its checkpoints."""

    def __init__(self, database: Database) -> None:
        prepare(database)
        self._sql = load(database.queries)
        self.connection = connect(database)
        self.connection.set_wal_hook(self._note_wal_pages)
        self._checkpoints = Checkpoints(database, _disk_failed)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.execute("COMMIT")

    def read(self, query: str, **values: object) -> None:
        self.connection.execute(self._sql[query], values).fetchall()

    def change(self, query: str, **values: object) -> None:
        self.connection.execute(self._sql[query], values)
        if self.connection.changes() != 1:
            raise RuntimeError(f"{query} changed {self.connection.changes()} rows.")

    def close(self) -> None:
        self._checkpoints.close()
        self.connection.close()

    def _note_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages > CHECKPOINT_PAGES:
            self._checkpoints.ask()
        return apsw.SQLITE_OK


def _now() -> int:
    return time.time_ns() // 1_000_000


def _disk_failed() -> None:
    raise RuntimeError("The disk failed.")
