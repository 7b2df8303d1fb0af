"""What an installation on PostgreSQL needs: arithmetic on assumptions that are all stated.

    python -m bench.sizing [AGENTS CHECKS_A_SECOND [PERIOD_DAYS]]

Without numbers it prints what docs/scaling.md shows.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from bench.report import table

DAY_SECONDS = 86_400
YEAR_DAYS = 365
PAGE_BYTES = 8192
GB, TB = 1e9, 1e12


@dataclass(frozen=True)
class Demand:
    """What is asked of an installation."""

    agents: int
    checks: int
    """A second, at the busiest time."""
    period_days: float = 7
    """How often each agent rotates."""


@dataclass(frozen=True)
class Assumptions:
    """What one of each costs. Bytes are measured, with indexes; so are speeds, rounded down."""

    agent_bytes: float = 547
    bloat: float = 1.5
    retired_bytes: float = 546
    audit_bytes: float = 637
    receipt_bytes: float = 559
    rotation_wal: float = 4_700
    use_wal: float = 720
    rotation_pages: int = 14
    use_pages: int = 6
    page_image: float = 5_700
    checkpoint_seconds: float = 300
    checks_core: float = 5_000
    rotations_core: float = 500
    check_microseconds: float = 50
    rotation_microseconds: float = 1_700
    uses: float = 200
    connections: int = 15
    peak: float = 3
    busy: float = 0.5


MEANINGS = {
    "agent_bytes": "bytes of an agent, its indexes included, freshly loaded",
    "bloat": "size after a while / freshly loaded, of agents and receipts",
    "retired_bytes": "bytes of a retired pair, kept for a year",
    "audit_bytes": "bytes of an entry of the trail, kept for ever",
    "receipt_bytes": "bytes of an agent's receipt, kept until the new key is used",
    "rotation_wal": "bytes of WAL of a rotation, all its pages known to the WAL",
    "use_wal": "bytes of WAL of a last use, likewise",
    "rotation_pages": "pages of a rotation that are anywhere in the tables and indexes",
    "use_pages": "pages of a last use, likewise",
    "page_image": "bytes of such a page in the WAL, once after each checkpoint",
    "checkpoint_seconds": "seconds between checkpoints",
    "checks_core": "checks a second that a core of Keyturn answers",
    "rotations_core": "rotations a second that a core of Keyturn answers",
    "check_microseconds": "µs of PostgreSQL's processor for a check among others",
    "rotation_microseconds": "µs of PostgreSQL's processor for a rotation",
    "uses": "last uses a second that a process writes down at most",
    "connections": "connections of a process at most",
    "peak": "busiest time / average, of rotations",
    "busy": "share of a core to plan with",
}


@dataclass(frozen=True)
class Needs:
    """What that takes."""

    rotations: float
    """A second, on average."""
    processes: int
    """Of Keyturn, each on a core."""
    connections: int
    postgres_cores: int
    memory: float
    """Bytes, for no check to wait for a disk: all agents with their indexes."""
    wal_low: float
    """Bytes a second at the busiest time, where the pages have been written since a checkpoint."""
    wal_high: float
    """The same where none has, and each is in the WAL as a whole."""
    retired: float
    """Bytes, from the first year on."""
    trail: float
    """Bytes, each year."""
    disk: float
    """Bytes after a year."""


def needs(of: Demand, given: Assumptions) -> Needs:
    """The arithmetic."""
    rotations = of.agents / (of.period_days * DAY_SECONDS)
    at_peak = rotations * given.peak
    cores = of.checks / given.checks_core + at_peak / given.rotations_core
    # One more, so that one may be missing.
    processes = math.ceil(cores / given.busy) + 1
    spent = of.checks * given.check_microseconds + at_peak * given.rotation_microseconds
    uses = min(given.uses * processes, of.checks)
    wal = at_peak * given.rotation_wal + uses * given.use_wal
    # A page is in the WAL as a whole once between two checkpoints.
    agents = of.agents * given.agent_bytes * given.bloat
    used_pages = min(uses * given.use_pages, agents / PAGE_BYTES / given.checkpoint_seconds)
    pages = at_peak * given.rotation_pages + used_pages
    rotations_a_year = rotations * DAY_SECONDS * YEAR_DAYS
    retired, trail = (rotations_a_year * each for each in (given.retired_bytes, given.audit_bytes))
    return Needs(
        rotations=rotations,
        processes=processes,
        connections=processes * given.connections,
        postgres_cores=math.ceil(spent / 1e6 / given.busy),
        memory=agents,
        wal_low=wal,
        wal_high=wal + pages * given.page_image,
        retired=retired,
        trail=trail,
        disk=agents + of.agents * given.receipt_bytes * given.bloat + retired + trail,
    )


DEMANDS = (Demand(1_000_000, 1_000), Demand(1_000_000, 100_000), Demand(100_000_000, 100_000))


def needs_table(demands: Sequence[Demand], given: Assumptions) -> str:
    """A column for each demand."""
    found = [needs(demand, given) for demand in demands]
    head = [f"{it.agents:,} agents, {it.checks:,} checks a second" for it in demands]
    rows = [
        ["", *head],
        ["each rotates every", *(f"{it.period_days:g} days" for it in demands)],
        ["rotations a second", *(f"{it.rotations:,.1f}" for it in found)],
        ["processes of Keyturn, each on a core", *(f"{it.processes:,}" for it in found)],
        ["connections to PostgreSQL", *(f"up to {it.connections:,}" for it in found)],
        ["cores of PostgreSQL", *(f"{it.postgres_cores:,}" for it in found)],
        ["memory that holds all agents", *(_bytes(it.memory) for it in found)],
        ["WAL a second", *(f"{_bytes(it.wal_low)}–{_bytes(it.wal_high)}" for it in found)],
        ["retired pairs, of a year", *(_bytes(it.retired) for it in found)],
        ["trail, each year", *(_bytes(it.trail) for it in found)],
        ["disk after a year, without WAL", *(_bytes(it.disk) for it in found)],
    ]
    return table(rows)


def assumptions_table(given: Assumptions) -> str:
    """What is assumed, each in words."""
    rows = [[MEANINGS[it.name], f"{getattr(given, it.name):,}"] for it in fields(given)]
    return table([["assumed", ""], *rows])


def text(demands: Sequence[Demand] = DEMANDS) -> str:
    """Both tables."""
    given = Assumptions()
    return f"{needs_table(demands, given)}\n\n{assumptions_table(given)}"


def _bytes(count: float) -> str:
    for unit, size in (("TB", TB), ("GB", GB), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def main() -> None:
    """Print the tables, of one demand where it is given."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("demand", nargs="*", type=float, metavar="NUMBER")
    numbers = parser.parse_args().demand
    if not numbers:
        print(text())
        return
    if len(numbers) not in {2, 3} or min(numbers) <= 0:
        parser.error("AGENTS CHECKS_A_SECOND [PERIOD_DAYS], each above 0")
    demand = Demand(int(numbers[0]), int(numbers[1]), *numbers[2:])
    print(text([demand]))


if __name__ == "__main__":
    main()
