"""What is measured on PostgreSQL, beside what, and what should come out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bench import servers
from bench.checks.plan import measurement
from bench.checks.requests import FORWARD_AUTH, forward_auth, write
from bench.checks.statements import Statement
from bench.checks.wrk import Load, Run
from bench.machine import cores, cores_for, cpu_seconds, process
from bench.plan import pinned_process, rotations
from bench.postgres import pgbench
from bench.postgres.dataset import COPY, Dataset
from bench.servers import Running, free_port, wait_for
from bench.suite import Measurement, Outcome, Ratio

AGENTS = 1_000_000
GROUPS = ("checks", "rotations")
CONNECTIONS = (1, 16, 64, 256)
CLIENTS = 64
BARE, KEYTURN, EACH = "bare ASGI", "Keyturn", "one query each"
CHECKED = (BARE, KEYTURN, EACH)
PROTOCOLS = ("extended", "prepared")
"""Keyturn speaks the first: it prepares nothing, for the sake of PgBouncer."""


def checks_name(who: str, connections: int) -> str:
    """What a row of checks is called."""
    return f"{who}, {connections} connection{'s' if connections > 1 else ''}"


def rotations_name(clients: int) -> str:
    """What the row of rotations is called."""
    return f"rotation {clients}"


def pgbench_name(clients: int, protocol: str) -> str:
    """What a row of pgbench is called."""
    return f"pgbench {clients}, {protocol}"


STATEMENTS = (
    Statement(
        Ratio(
            f"checks, 64 connections: {KEYTURN} / {EACH}",
            checks_name(KEYTURN, 64),
            checks_name(EACH, 64),
        ),
        2.5,
    ),
    Statement(
        Ratio(
            f"rotations, {CLIENTS} clients: {KEYTURN} / pgbench",
            rotations_name(CLIENTS),
            pgbench_name(CLIENTS, PROTOCOLS[0]),
        ),
        0.6,
    ),
)


@dataclass
class Cost:
    """What PostgreSQL spends in a round, on each good answer."""

    microseconds: list[float] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)


@dataclass
class Plan:
    """The measurements of a run; `costs` are filled in by each round."""

    measurements: list[Measurement] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)


@contextlib.contextmanager
def planned(
    folder: Path,
    data: Dataset,
    url: str,
    groups: Sequence[str],
    connections: Sequence[int] = CONNECTIONS,
    clients: int = CLIENTS,
) -> Iterator[Plan]:
    """The measurements of the wanted groups on the copy at `url`, their servers running meanwhile.

    PostgreSQL may use every core; each server has one, the load another.
    """
    with contextlib.ExitStack() as stack:
        planner = _Planner(data, url, stack)
        keyturn = stack.enter_context(servers.keyturn(data.data_dir, database=url))
        if "checks" in groups:
            planner.add_checks(
                write(folder / "requests", map(forward_auth, data.keys)), keyturn, connections
            )
        if "rotations" in groups:
            planner.add_rotations(keyturn, clients)
        yield planner.plan


@dataclass
class _Planner:
    data: Dataset
    url: str
    stack: contextlib.ExitStack
    plan: Plan = field(default_factory=Plan)
    good: int = 0
    """Answers to checks, of warm-ups too."""

    def add_checks(self, requests: Path, keyturn: Running, connections: Sequence[int]) -> None:
        running = {
            BARE: self.stack.enter_context(servers.bare("checks")),
            KEYTURN: keyturn,
            EACH: self.stack.enter_context(one_query_each(self.data, self.url)),
        }
        for who in CHECKED:
            for count in connections:
                load = Load(running[who], requests, FORWARD_AUTH.good, count)
                self._add(measurement(checks_name(who, count), load, self._note), self._checks)

    def add_rotations(self, keyturn: Running, clients: int) -> None:
        _, core = cores()
        load = self.stack.enter_context(pinned_process(core))
        self._add(rotations(load, "rotation", keyturn, clients, recoverable=True), self._rotations)
        for protocol in PROTOCOLS:
            self._add(_pgbench(self.data, clients, protocol), self._rotations)

    def _note(self, run: Run) -> None:
        self.good += run.good

    def _checks(self) -> int:
        return self.good

    def _rotations(self) -> int:
        [[done]] = _ask(self.url, "SELECT coalesce(max(seq), 0) FROM retired")
        return int(done)

    def _add(self, of: Measurement, done: Callable[[], int]) -> None:
        """A row, with what PostgreSQL spends on each of what it has done."""

        def run(seconds: float) -> Outcome:
            before = (done(), *self._spent())
            outcome = of.run(seconds)
            after = (done(), *self._spent())
            answers, used, written = (
                late - early for late, early in zip(after, before, strict=True)
            )
            if answers:
                cost = self.plan.costs.setdefault(of.name, Cost())
                cost.microseconds.append(used / answers * 1e6)
                cost.wal_bytes.append(written / answers)
            return outcome

        self.plan.measurements.append(Measurement(of.name, run))

    def _spent(self) -> tuple[float, float]:
        """Seconds of PostgreSQL's processors, and bytes of WAL."""
        server = self.data.cluster.process
        [[written]] = _ask(self.url, "SELECT pg_current_wal_insert_lsn() - '0/0'")
        return cpu_seconds(server.pid) if server else 0.0, float(written)


@contextlib.contextmanager
def one_query_each(data: Dataset, url: str) -> Iterator[Running]:
    """The server of `bench.postgres.one_query_each`."""
    port = free_port()
    arguments = (str(data.data_dir), url, str(port))
    with process("-m", "bench.postgres.one_query_each", *arguments, on=cores_for(1)) as child:
        wait_for(port)
        yield Running(port, child.pid)


def _pgbench(data: Dataset, clients: int, protocol: str) -> Measurement:
    def run(seconds: float) -> Outcome:
        return pgbench.rotate(data, COPY, protocol, clients, round(seconds))

    return Measurement(pgbench_name(clients, protocol), run)


def _ask(url: str, query: str) -> list[TupleRow]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()
