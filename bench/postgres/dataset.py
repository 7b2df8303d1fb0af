"""An installation on PostgreSQL with as many agents as one likes, made once and kept between runs.

Runs work on a copy of it. The product makes the tables; the agents are copied into them.
"""

import contextlib
import hashlib
import json
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import servers
from bench.checks.dataset import agent_rows, sample_places
from keyturn.core.keyed_hash import Keyring
from keyturn.server_key_file import read_server_keys
from keyturn.storage import migrations
from tests.postgres import Cluster, cluster_in

MADE, COPY = "made", "run"
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""What every guide sets: by default PostgreSQL is made for a machine of the last century."""
SPARE = 1024
"""Agents after those that are checked, for pgbench to rotate."""
COLUMNS = (
    "id", "developer_id", "name", "status", "generation", "key_mac", "key_server_key", "key_last4",
    "secret_mac", "secret_server_key", "key_created_at", "rotation_period_days", "on_reuse",
    "metadata", "credit_balance", "self_registered", "created_at", "last_used_at",
    "last_used_address",
)  # fmt: skip
SIZES = """
SELECT relname, pg_total_relation_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relname = ANY (%s) AND relkind = 'r'
"""


@dataclass(frozen=True)
class Dataset:
    """A database of a server that runs, and the data directory that belongs to it."""

    cluster: Cluster
    folder: Path
    agents: int

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def keys(self) -> list[str]:
        """A random sample of the API keys."""
        return (self.folder / "keys").read_text("ascii").split()

    def url(self, database: str) -> str:
        return self.cluster.url.replace("///postgres?", f"///{database}?")

    def make(self) -> None:
        """Fill the database, which must not be there yet."""
        self.data_dir.mkdir(mode=0o700)
        self.cluster.run(f"CREATE DATABASE {MADE} ENCODING 'UTF8' TEMPLATE template0")
        with servers.keyturn(self.data_dir, database=self.url(MADE)):
            pass
        keyring = Keyring(read_server_keys(self.data_dir / "server-key"))
        with psycopg.connect(self.url(MADE), autocommit=True) as connection:
            sample = _fill(connection, keyring, self.agents)
            connection.execute("VACUUM (ANALYZE)")
        (self.folder / "keys").touch(0o600)
        (self.folder / "keys").write_text("\n".join(sample), "ascii")

    @contextlib.contextmanager
    def copy(self) -> Iterator[str]:
        """The URL of a copy, for a run to change."""
        self.cluster.run(f"DROP DATABASE IF EXISTS {COPY}")
        self.cluster.run(f"CREATE DATABASE {COPY} TEMPLATE {MADE}")
        self.cluster.run("CHECKPOINT")
        try:
            yield self.url(COPY)
        finally:
            self.cluster.run(f"DROP DATABASE {COPY} WITH (FORCE)")


@dataclass(frozen=True)
class Size:
    """What the rows of a table take, dead ones and free space included."""

    table: str
    rows: int
    each: float
    """Bytes a row, with its indexes."""
    indexes: float
    """Bytes of those in indexes."""


@contextlib.contextmanager
def dataset(build: Path, agents: int) -> Iterator[Dataset]:
    """The one of so many agents, made where it is missing or out of date, its server running."""
    folder = build / f"postgres-{agents}"
    stamp, recipe = folder / "complete.json", {"schema": _schema(), "settings": SETTINGS}
    current = stamp.exists() and json.loads(stamp.read_text()) == recipe
    if not current:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "cluster").mkdir(parents=True)
    cluster = cluster_in(folder / "cluster")
    if not current:
        cluster.make()
        with (cluster.folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
    try:
        cluster.start()
        found = Dataset(cluster, folder, agents)
        if not current:
            found.make()
            stamp.write_text(json.dumps(recipe))
        yield found
    finally:
        cluster.stop(signal.SIGINT)


def sizes(url: str, tables: tuple[str, ...]) -> list[Size]:
    """Of those tables that have rows."""
    found = []
    with psycopg.connect(url) as connection:
        for table, whole, indexes in connection.execute(SIZES, [list(tables)]).fetchall():
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            if row and row[0]:
                found.append(Size(table, row[0], whole / row[0], indexes / row[0]))
    return sorted(found, key=lambda it: tables.index(it.table))


def _schema() -> str:
    scripts = [*migrations.scripts("postgres"), *migrations.scripts("postgres_limits")]
    return hashlib.sha256("\n".join(scripts).encode()).hexdigest()


def _fill(connection: psycopg.Connection, keyring: Keyring, count: int) -> list[str]:
    """Add the agents; the keys of a sample of them, who have used theirs before."""
    sample: dict[str, str] = {}
    now = time.time_ns() // 1_000_000
    statement = f"COPY agents ({', '.join(COLUMNS)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        for values in agent_rows(keyring, count + SPARE, sample_places(count), sample, now):
            used = values["id"] in sample
            row: dict[str, object] = {
                **values,
                "status": "active",
                "generation": 1,
                "key_created_at": now,
                "on_reuse": "alert",
                "metadata": "{}",
                "self_registered": 0,
                "created_at": now,
                "last_used_at": now + 1 if used else None,
                "last_used_address": "127.0.0.1" if used else None,
            }
            rows.write_row([row[name] for name in COLUMNS])
    return list(sample.values())
