"""The same statements without Keyturn: pgbench, which comes with PostgreSQL."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from bench.machine import cores, pinned
from bench.postgres.dataset import Dataset
from bench.stats import percentile
from bench.suite import Outcome
from tests.postgres import program

WARM_UP = 2
"""Seconds, in which each of PostgreSQL's processes reads what it needs to know of the tables."""
SCRIPT = Path(__file__).with_name("rotation.sql")


def rotate(data: Dataset, database: str, protocol: str, clients: int, seconds: int) -> Outcome:
    """Rotations of the spare agents by so many clients, each on a connection of its own.

    Raises:
        RuntimeError: pgbench failed; the message has what it said.
    """
    _, core = cores()
    where = {"PGHOST": str(data.cluster.folder), "PGUSER": "keyturn", "PGDATABASE": database}
    with tempfile.TemporaryDirectory() as folder, pinned({core}):
        log = f"--log-prefix={folder}/each"
        flags = ["--no-vacuum", f"--client={clients}", f"--time={WARM_UP + seconds}"]
        flags += [f"--protocol={protocol}", f"--file={SCRIPT}"]
        done = subprocess.run(
            [program("pgbench"), *flags, f"--define=checked={data.agents}", "--log", log],
            env={**os.environ, **where},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"pgbench ended with {done.returncode}: {done.stderr[-300:]}")
        lines = [line for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
    return outcome(done.stdout, lines, seconds)


def outcome(printed: str, lines: list[str], seconds: float) -> Outcome:
    """The last seconds, from pgbench's log with a line for each transaction; failures, of all.

    Raises:
        RuntimeError: there are no figures.
    """
    failed = re.search(r"^number of failed transactions: (\d+)", printed, re.MULTILINE)
    if failed is None:
        raise RuntimeError(f"pgbench gave no figures: {printed[-300:]}")
    fields = [line.split() for line in lines]
    each = [(int(it[4]) + int(it[5]) / 1e6, int(it[2])) for it in fields]
    begin = max((at for at, _ in each), default=0.0) - seconds
    took = sorted(microseconds for at, microseconds in each if at > begin) or [0]
    p50, p99 = (percentile(took, share) / 1e3 for share in (0.50, 0.99))
    return Outcome(len(took) / seconds if each else 0.0, p50, p99, errors=int(failed[1]))
