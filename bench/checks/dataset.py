"""An installation with as many agents as one likes, made once and kept between runs.

Agents are put straight into the database, through the product's own schema, statements and keyed
hash. Every API key is a real one. A sample of them is written beside it, whose agents have used
theirs before, as in a service that has run for a while: the first use of a key costs a write.
"""

import json
import os
import random
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.timing.contenders import PREFIX
from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.credential import Credential, Kind
from keyturn.core.keyed_hash import Keyring
from keyturn.server_key_file import make_server_key_file
from keyturn.storage.queries import load
from keyturn.storage.sqlite_file import Database, connect, credentials_database, prepare

SAMPLE = 20_000
CREDITS = 10**12
"""What every agent has to begin with: more than a run can take."""
CACHE_KIB = 2**20


@dataclass(frozen=True)
class Dataset:
    """The folder of an installation and what belongs to it."""

    folder: Path
    agents: int

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def database(self) -> Database:
        return credentials_database(self.data_dir / "keyturn.db")

    @property
    def keys(self) -> list[str]:
        """A random sample of the API keys."""
        return self._sample.read_text("ascii").split()

    @property
    def bytes_per_agent(self) -> float:
        return self.database.path.stat().st_size / self.agents

    @property
    def _sample(self) -> Path:
        return self.folder / "keys"

    @property
    def _stamp(self) -> Path:
        return self.folder / "complete.json"

    def make(self) -> None:
        """Make it, unless it is there and its schema is still today's."""
        if self._is_current():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.data_dir.mkdir(mode=0o700, parents=True)
        schema = prepare(self.database)
        keyring = Keyring(make_server_key_file(self.data_dir / "server-key"))
        sample = _fill(self.database, keyring, self.agents, sample_places(self.agents))
        self._sample.touch(0o600)
        self._sample.write_text("\n".join(sample), "ascii")
        self._stamp.write_text(json.dumps({"schema": schema}))

    def _is_current(self) -> bool:
        if not self._stamp.exists():
            return False
        made: dict[str, int] = json.loads(self._stamp.read_text())
        return made == {"schema": prepare(self.database)}


def dataset(folder: Path, agents: int) -> Dataset:
    """The one of so many agents, made where it is missing or out of date."""
    found = Dataset(folder / f"agents-{agents}", agents)
    found.make()
    return found


def _fill(database: Database, keyring: Keyring, count: int, places: frozenset[int]) -> list[str]:
    """Add the agents; the keys of those at the given places."""
    sample: dict[str, str] = {}
    connection = connect(database)
    # Nobody else has the file yet, and a crash only means to begin again.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    statements = load(database.queries)
    current = keyring.current
    now = time.time_ns() // 1_000_000
    with connection:
        server_key = {"id": current.id, "verifier": current.verifier, "now": now}
        connection.execute(statements["add_server_key"], server_key)
        rows = agent_rows(keyring, count, places, sample, now)
        connection.executemany(statements["add_agent"], rows)
        use = {"at": now + 1, "address": "127.0.0.1", "generation": 1}
        uses = ({"id": identifier, **use} for identifier in sample)
        connection.executemany(statements["note_agent_used"], uses)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with database.path.open("rb+") as file:
        os.fsync(file.fileno())
    return list(sample.values())


def sample_places(agents: int) -> frozenset[int]:
    """Whose keys are kept: the same ones for a number of agents, spread over them."""
    places = random.Random(agents).sample(range(agents), min(SAMPLE, agents))
    return frozenset(places)


def agent_rows(
    keyring: Keyring, count: int, places: frozenset[int], sample: dict[str, str], now: int
) -> Iterator[dict[str, object]]:
    """The values of `add_agent` for each; `sample` takes the keys of those at the places, by id."""
    for place in range(count):
        key = Credential.generate(Kind.API_KEY, PREFIX, os.urandom)
        mac = keyring.mac(key)
        identifier = str(uuid.UUID(bytes=os.urandom(16), version=4))
        if place in places:
            sample[identifier] = key.reveal()
        yield {
            "id": identifier,
            "developer_id": BUILT_IN_OWNER,
            "name": f"agent-{place}",
            "key_mac": mac.digest,
            "key_server_key": mac.server_key,
            "key_last4": key.last4,
            # Nobody has these secrets: checks don't read them.
            "secret_mac": os.urandom(32),
            "secret_server_key": mac.server_key,
            "now": now,
            "rotation_period_days": 7,
            "credit_balance": CREDITS,
            "self_registered": False,
        }
