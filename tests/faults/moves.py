"""A move to PostgreSQL is killed at each of its steps: the service is in one place at most."""

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from keyturn.testing import Server
from tests.command import command
from tests.postgres import Cluster, running_cluster
from tests.sqlite import opened

from .mover import MARK
from .outcome import Outcome

RUNS = 100
DECISIVE = (
    "return _copy",
    "return Copy.fill",
    "call Original.leave",
    "return Original.leave",
    "call arrive",
    "return _let_arrive",
)
"""Steps that something is different after."""


def run(runs: int, seed: int, *, only: Iterable[str] = ()) -> Outcome:
    """Kill so many moves, at steps that are chosen at random, or at the first of each of these."""
    choice = random.Random(seed)
    outcome = Outcome()
    with running_cluster() as cluster, tempfile.TemporaryDirectory(prefix="keyturn-moves-") as name:
        original = Server(Path(name) / "original")
        _use(original, "first")
        steps = _steps(_copied(original, "whole"), cluster.new_database())
        numbers = [steps.index(step) for step in only] or [_any(steps, choice) for _ in range(runs)]
        for count, number in enumerate(numbers):
            server = _copied(original, f"run-{count}")
            _interrupt(cluster, server, number + 1, steps[number], outcome)
            shutil.rmtree(server.data_dir)
            outcome.runs += 1
    return outcome


def _any(steps: list[str], choice: random.Random) -> int:
    """One of the steps; those that come often are not likelier than those that come once."""
    name = choice.choice(sorted(set(steps)))
    return choice.choice([number for number, step in enumerate(steps) if step == name])


def _interrupt(cluster: Cluster, server: Server, number: int, step: str, outcome: Outcome) -> None:
    url = cluster.new_database()
    there = Server(server.data_dir, database=url)
    killed = _move(server, number, url)
    outcome.check(killed.returncode == -9, f"{step}: it was not killed: {killed.stderr[-200:]}")
    used_there = _is_ours(cluster, server, url) and _use(there, "there")
    used_here = _use(server, "here")
    outcome.check(not (used_here and used_there), f"{step}: the service is in both")
    outcome.note("was here" if used_here else "was there" if used_there else "was nowhere")
    again = command(server, "migrate", "--to", url)
    outcome.check(again.returncode == 0, f"{step}: it can't be finished: {again.stderr}")
    outcome.check(_use(there, "later"), f"{step}: the service is not in the copy")
    outcome.check(not _use(server, "later"), f"{step}: the service is in the original again")
    found = cluster.run(f"SELECT name FROM {_schema(url)}.tokens ORDER BY seq")
    made = ["first", *(["here"] if used_here else ["there"] if used_there else []), "later"]
    outcome.check([name for (name,) in found] == made, f"{step}: the copy has {found}")


def _is_ours(cluster: Cluster, server: Server, url: str) -> bool:
    """Whether what is there is of this installation; tables alone are as good as nothing."""
    installation = f"{_schema(url)}.installation"
    if cluster.run(f"SELECT to_regclass('{installation}')") == [(None,)]:
        return False
    with opened(server.data_dir / "keyturn.db") as original:
        return cluster.run(f"SELECT id FROM {installation}") == list(
            original.execute("SELECT id FROM installation")
        )


def _use(server: Server, name: str) -> bool:
    """Whether a token can be made: then it was acknowledged."""
    return command(server, "service", "create", "--name", name).returncode == 0


def _schema(url: str) -> str:
    return url.rpartition("user=")[2]


def _copied(original: Server, name: str) -> Server:
    folder = original.data_dir.with_name(name)
    shutil.copytree(original.data_dir, folder)
    return Server(folder)


def _steps(server: Server, url: str) -> list[str]:
    whole = _move(server, 0, url)
    lines = [line for line in whole.stdout.splitlines() if line.startswith(MARK)]
    return [line.removeprefix(MARK) for line in lines]


def _move(server: Server, number: int, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.mover", str(number), url],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
