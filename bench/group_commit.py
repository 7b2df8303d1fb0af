"""What SQLite alone gives: the rows of a rotation, with nothing around them.

The product's own schema, statements and connection settings, through apsw, in one thread: open a
transaction, for each of N agents read it, replace its credentials, add the trail's entry; commit.
Checkpoints are taken by another connection in the background, as in the product.
"""

import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import apsw

from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.storage.checkpoints import Checkpoints
from keyturn.storage.queries import load
from keyturn.storage.sqlite import CHECKPOINT_PAGES
from keyturn.storage.sqlite_file import connect, credentials_database, prepare

AGENTS = 1024


@dataclass
class _Agent:
    id: str
    generation: int = 1


class Raw:
    """A database of agents, rotated by SQL alone."""

    def __init__(self, folder: Path) -> None:
        database = credentials_database(folder / "raw.db")
        prepare(database)
        self._sql = load(database.queries)
        self._connection = connect(database)
        self._connection.set_wal_hook(self._note_wal_pages)
        self._checkpoints = Checkpoints(database, _disk_failed)
        self._agents = [_Agent(str(uuid.uuid4())) for _ in range(AGENTS)]
        self._turn = 0
        with self._connection:
            self._execute("add_server_key", id="k1", verifier=b"", now=0)
            for agent in self._agents:
                self._add(agent)

    def commits(self, batch: int, seconds: float) -> list[int]:
        """Commit batches of rotations for some seconds; how long each took, in nanoseconds."""
        took: list[int] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter_ns()
            self._connection.execute("BEGIN IMMEDIATE")
            for _ in range(batch):
                self._rotate()
            self._connection.execute("COMMIT")
            took.append(time.perf_counter_ns() - start)
        return took

    def rotations(self) -> int:
        """How often agents have changed their credentials."""
        return self._count("SELECT sum(generation - 1) FROM agents")

    def entries(self) -> int:
        """How many entries the trail has."""
        return self._count("SELECT count(*) FROM audit")

    def close(self) -> None:
        """End the thread of the checkpoints and close both connections."""
        self._checkpoints.close()
        self._connection.close()

    def _count(self, query: str) -> int:
        return int(self._connection.execute(query).get)

    def _note_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages > CHECKPOINT_PAGES:
            self._checkpoints.ask()
        return apsw.SQLITE_OK

    def _rotate(self) -> None:
        self._turn = (self._turn + 1) % AGENTS
        agent, now = self._agents[self._turn], time.time_ns() // 1_000_000
        for _ in self._connection.execute(self._sql["agent_by_id"], {"id": agent.id}):
            pass
        self._execute(
            "replace_credentials",
            key_mac=os.urandom(32),
            key_server_key="k1",
            key_last4="0000",
            secret_mac=os.urandom(32),
            secret_server_key="k1",
            now=now,
            used_at=now,
            used_from="127.0.0.1",
            id=agent.id,
            generation=agent.generation,
            status="active",
        )
        agent.generation += 1
        self._record(agent, now)

    def _record(self, agent: _Agent, now: int) -> None:
        self._execute(
            "add_audit_entry",
            id=str(uuid.uuid4()),
            at=now,
            actor_kind="agent",
            actor_id=agent.id,
            action="credential.rotated",
            outcome="success",
            agent_id=agent.id,
            developer_id=BUILT_IN_OWNER,
            address="127.0.0.1",
            user_agent="bench",
            request_id=str(uuid.uuid4()),
            details="{}",
        )

    def _add(self, agent: _Agent) -> None:
        self._execute(
            "add_agent",
            id=agent.id,
            developer_id=BUILT_IN_OWNER,
            name="agent",
            key_mac=os.urandom(32),
            key_server_key="k1",
            key_last4="0000",
            secret_mac=os.urandom(32),
            secret_server_key="k1",
            now=0,
            rotation_period_days=7,
            credit_balance=100,
            self_registered=1,
        )

    def _execute(self, query: str, **values: object) -> None:
        self._connection.execute(self._sql[query], values)
        if self._connection.changes() != 1:
            raise RuntimeError(f"{query} changed {self._connection.changes()} rows.")


def _disk_failed() -> None:
    raise RuntimeError("The disk failed.")
