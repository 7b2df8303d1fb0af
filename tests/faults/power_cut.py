"""Power cuts, not only kills: what the disk was never told to keep may be lost, in any part.

The product's own store registers and rotates agents while what it does to its files is recorded.
Then every state in which a cut may leave the disk is rebuilt, and the store has to open it.
"""

import contextlib
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import apsw

from keyturn.core.errors import Unavailable
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import credentials_database, prepare
from keyturn.storage.store import UnusableDatabase
from tests.storage.batches import do

from .disk import Acknowledged, Image, Sync, lay_out, power_cuts
from .outcome import Outcome
from .recorded_life import DATABASE, Life, Macs, live, lost_commit

RUNS = 2_000
SAMPLES = 4
"""Random parts of what was not synced, at each moment of a cut."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where opening thousands of images wears out no disk."""
FOUND = """
    SELECT id, generation, key_mac, secret_mac,
        (SELECT count(*) FROM audit WHERE agent_id = agents.id AND action = 'agent.registered'),
        (SELECT count(*) FROM audit WHERE agent_id = agents.id AND action = 'credential.rotated')
    FROM agents
"""


@dataclass
class State:
    """What is found after a power cut: each agent's generation and credentials, and damage."""

    agents: dict[str, tuple[int, Macs]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What power cuts did: nothing may ever be damaged, and what was acknowledged not be lost."""

    damage: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def run(runs: int, seed: int) -> Outcome:
    """Cut the power at `runs` moments, each of them in every way; show that losses are seen."""
    choice = random.Random(seed)
    outcome = Outcome()
    while outcome.runs < runs:
        life = live("FULL")
        every = range(len(life.operations) + 1)
        moments = set(choice.sample(every, min(runs - outcome.runs, len(every))))
        findings = cut_at(life, moments, choice, outcome)
        outcome.violations += findings.damage + findings.losses
        outcome.runs += len(moments)
    _controls(runs, choice, outcome)
    return outcome


def _controls(runs: int, choice: random.Random, outcome: Outcome) -> None:
    """What must be seen to lose rotations. Commits that are not synced still damage nothing."""
    for name, life, undamaged in (
        ("synchronous=NORMAL", live("NORMAL"), True),
        ("no sync of the folder", _without_folder_syncs(live("FULL")), False),
    ):
        told = [at + 1 for at, it in enumerate(life.operations) if isinstance(it, Acknowledged)]
        # Not one after the other: all of them may have been synced by one checkpoint.
        moments = set(choice.sample(told, min(runs, len(told))))
        findings = cut_at(life, moments, choice, outcome)
        outcome.check(bool(findings.losses), f"{name}: no loss is seen")
        outcome.note(f"losses seen with {name}", len(findings.losses))
        if undamaged:
            outcome.violations += [f"{name}: {damage}" for damage in findings.damage]


def _without_folder_syncs(life: Life) -> Life:
    """The same from the first acknowledgement on: a log that is then made anew may be missing."""
    first = next(at for at, it in enumerate(life.operations) if isinstance(it, Acknowledged))
    unsynced = [
        Sync(None, 0) if at > first and isinstance(it, Sync) and it.file is None else it
        for at, it in enumerate(life.operations)
    ]
    return Life(unsynced, life.macs)


def cut_at(life: Life, moments: set[int], choice: random.Random, outcome: Outcome) -> Findings:
    """Open everything that cuts at these moments may leave."""
    findings = Findings()
    states: dict[bytes, State] = {}
    for cut in power_cuts(life.operations, moments, choice, SAMPLES):
        digest = _digest(cut.image)
        if digest not in states:
            states[digest] = state = _open(cut.image, life)
            findings.damage += [f"cut {cut.moment}: {damage}" for damage in state.damage]
        lost = _losses(states[digest], cut.acknowledged)
        findings.losses += [f"cut {cut.moment}: {loss}" for loss in lost]
        outcome.points += 1
    outcome.note("images opened", len(states))
    return findings


def _losses(state: State, acknowledged: list[tuple[str, int]]) -> Iterator[str]:
    for agent_id, generation in dict(acknowledged).items():
        found, _ = state.agents.get(agent_id, (0, None))
        if found < generation:
            yield f"agent {agent_id} is at generation {found}, and {generation} was acknowledged"


def _open(image: Image, life: Life) -> State:
    """Open what a cut has left, as a start of the server does."""
    state = State()
    with tempfile.TemporaryDirectory(prefix="keyturn-cut-", dir=MEMORY) as folder:
        lay_out(image, Path(folder))
        database = credentials_database(Path(folder) / DATABASE)
        try:
            prepare(database)
            with (
                contextlib.closing(SqliteStore(database, lost_commit)) as store,
                contextlib.closing(apsw.Connection(str(database.path))) as connection,
            ):
                do(store.check())
                _look(connection, life, state)
        except (UnusableDatabase, Unavailable, apsw.Error) as error:
            state.damage.append(f"it can't be opened: {error}".replace(folder, ""))
    return state


def _look(connection: apsw.Connection, life: Life, state: State) -> None:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    if found != ["ok"] or list(connection.execute("PRAGMA foreign_key_check")):
        state.damage.append(f"integrity: {found[:3]}")
        return
    for agent_id, generation, key, secret, registered, rotated in connection.execute(FOUND):
        state.agents[agent_id] = (generation, (key, secret))
        if (key, secret) != life.macs[agent_id][generation - 1]:
            state.damage.append(f"agent {agent_id}: not the pair of generation {generation}")
        if (registered, rotated) != (1, generation - 1):
            state.damage.append(
                f"agent {agent_id}: generation {generation}, "
                f"and {registered} entries of registration, {rotated} of rotations"
            )


def _digest(image: Image) -> bytes:
    digest = sha256()
    for name, content in sorted(image.items()):
        digest.update(f"{name}/{len(content)}/".encode())
        digest.update(content)
    return digest.digest()
