"""What the conformance tests run on. A new backend is one more entry in `BACKENDS`.

The tests keep counters: small numbers under names. How a database keeps one is written here too,
so that the tests themselves know neither its statements nor its backend.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import apsw
import psycopg
import pytest

from keyturn.core.agent import BUILT_IN_OWNER, Agent
from keyturn.core.audit_trail import Tally
from keyturn.storage import postgres_server
from keyturn.storage.postgres import PostgresStore
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import Database, credentials_database, limits_database, prepare
from keyturn.storage.store import Store, Transaction
from tests.postgres import Cluster


class ClosableStore(Store, Protocol):
    def close(self) -> None: ...


class Counters(Protocol):
    """How a database keeps counters."""

    def put(self, tx: Transaction, name: str, value: int) -> None: ...

    def put_later(self, tx: Transaction, name: str, value: int) -> None:
        """Change one that is there; nobody waits for it."""

    def get(self, tx: Transaction, name: str) -> int | None: ...

    def remove(self, tx: Transaction, name: str) -> None: ...


class AgentCounters:
    """A counter is an agent's credit balance, its name is the agent's id."""

    def put(self, tx: Transaction, name: str, value: int) -> None:
        if not tx.execute("set_credit_balance", id=name, credit_balance=value):
            tx.execute("add_server_key", id="k1", verifier=b"", now=0)
            tx.execute(
                "add_agent",
                id=name,
                developer_id=BUILT_IN_OWNER,
                name=name,
                key_mac=name.encode(),
                key_server_key="k1",
                key_last4="x7Qz",
                secret_mac=None,
                secret_server_key=None,
                now=0,
                rotation_period_days=7,
                credit_balance=value,
                self_registered=False,
            )

    def put_later(self, tx: Transaction, name: str, value: int) -> None:
        tx.execute_later("set_credit_balance", id=name, credit_balance=value)

    def get(self, tx: Transaction, name: str) -> int | None:
        agent = tx.one(Agent, "agent_by_id", id=name)
        return agent.credit_balance if agent else None

    def remove(self, tx: Transaction, name: str) -> None:
        tx.execute("delete_agent", id=name)


class TallyCounters:
    """A counter is a tally's count, its name is the tally's bucket."""

    def put(self, tx: Transaction, name: str, value: int) -> None:
        tx.execute("put_tally", **_tally(name, value))

    def put_later(self, tx: Transaction, name: str, value: int) -> None:
        tx.execute_later("put_tally", **_tally(name, value))

    def get(self, tx: Transaction, name: str) -> int | None:
        found = tx.all(Tally, "concerned_tallies", opened_by=0, now=0)
        return next((tally.count for tally in found if tally.bucket == name), None)

    def remove(self, tx: Transaction, name: str) -> None:
        tx.execute("delete_tally", action="test", reason="test", bucket=name)


def _tally(name: str, value: int) -> dict[str, object]:
    return {"action": "test", "reason": "test", "bucket": name, "opened_at": 0, "count": value}


COUNTED = {"keyturn.db": "agents", "limits.db": "tallies"}
COUNTERS: dict[str, Counters] = {"keyturn.db": AgentCounters(), "limits.db": TallyCounters()}
DATABASES: dict[str, Callable[[Path], Database]] = {
    "keyturn.db": credentials_database,
    "limits.db": limits_database,
}


class Backend(Protocol):
    """Makes stores, and what happens to them."""

    def open(
        self, folder: Path, database: str, on_lost_commit: Callable[[], None]
    ) -> ClosableStore:
        """A store on this database, which is made where there is none."""

    def lock(self, folder: Path, database: str) -> contextlib.AbstractContextManager[None]:
        """Let another program hold the database, so that nobody else can write."""

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        """Let stores opened from now on give up soon when they have to wait."""


class Sqlite:
    def open(
        self, folder: Path, database: str, on_lost_commit: Callable[[], None]
    ) -> ClosableStore:
        described = DATABASES[database](folder / database)
        prepare(described)
        return SqliteStore(described, on_lost_commit)

    @contextlib.contextmanager
    def lock(self, folder: Path, database: str) -> Iterator[None]:
        with contextlib.closing(apsw.Connection(str(folder / database))) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("keyturn.storage.sqlite.WRITE_BUSY_MILLISECONDS", 20)


POSTGRES_DATABASES: dict[str, Callable[[str], postgres_server.Database]] = {
    "keyturn.db": postgres_server.credentials_database,
    "limits.db": postgres_server.limits_database,
}


class Postgres:
    """The folder has the URL in it, so that other processes find the database too."""

    def place(self, folder: Path, url: str) -> None:
        """Let the stores of this folder be in the database that the URL names."""
        (folder / "url").write_text(url)

    def new_place(self, cluster: Cluster, folder: Path, database: str = "keyturn.db") -> "Place":
        """A place that is empty."""
        self.place(folder, cluster.new_database())
        return Place("postgres", database, folder)

    def describe(self, folder: Path, database: str) -> postgres_server.Database:
        return POSTGRES_DATABASES[database]((folder / "url").read_text())

    def open(
        self, folder: Path, database: str, on_lost_commit: Callable[[], None]
    ) -> ClosableStore:
        described = self.describe(folder, database)
        postgres_server.prepare(described)
        return PostgresStore(described, on_lost_commit)

    @contextlib.contextmanager
    def lock(self, folder: Path, database: str) -> Iterator[None]:
        described = self.describe(folder, database)
        with contextlib.closing(psycopg.connect(described.url)) as other:
            other.execute(f"LOCK TABLE {COUNTED[database]} IN SHARE MODE")
            yield
            other.rollback()

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("keyturn.storage.postgres.TURN_MILLISECONDS", 20)


BACKENDS: dict[str, Backend] = {"sqlite": Sqlite(), "postgres": Postgres()}


@dataclass(frozen=True)
class Place:
    """One database of one backend in one folder. It can be sent to another process."""

    backend: str
    database: str
    folder: Path

    @property
    def counters(self) -> Counters:
        return COUNTERS[self.database]

    @contextlib.contextmanager
    def opened(self, on_lost_commit: Callable[[], None] = lambda: None) -> Iterator[ClosableStore]:
        store = BACKENDS[self.backend].open(self.folder, self.database, on_lost_commit)
        try:
            yield store
        finally:
            store.close()

    def locked(self) -> contextlib.AbstractContextManager[None]:
        return BACKENDS[self.backend].lock(self.folder, self.database)

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        BACKENDS[self.backend].hurry(patch)

    def put(self, name: str, value: int) -> Callable[[Transaction], int]:
        """A change that sets a counter."""

        def work(tx: Transaction) -> int:
            self.counters.put(tx, name, value)
            return value

        return work

    def increment(self, name: str) -> Callable[[Transaction], int]:
        """A change that reads a counter and writes it one higher."""

        def work(tx: Transaction) -> int:
            value = (self.counters.get(tx, name) or 0) + 1
            self.counters.put(tx, name, value)
            return value

        return work

    def remove(self, name: str) -> Callable[[Transaction], None]:
        """A change that removes a counter."""
        return lambda tx: self.counters.remove(tx, name)

    def get(self, name: str) -> Callable[[Transaction], int | None]:
        """A look at a counter."""
        return lambda tx: self.counters.get(tx, name)
