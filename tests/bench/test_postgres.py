"""A little of the measurement on PostgreSQL, against a real one, a real wrk and a real pgbench."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench import servers
from bench.checks.requests import unknown
from bench.clients import Rotating, register
from bench.http1 import connect, exchange
from bench.postgres import pgbench, plan
from bench.postgres.dataset import COPY, Dataset, sizes
from bench.postgres.run import TABLES, tables
from bench.suite import Outcome, Ratio, take_turns
from tests.postgres import Cluster

AGENTS = 40
SHORT = ("one query each, 4 connections", "rotation 2")
PRINTED = (
    "tps = 1234.5 (without initial connection time)\nnumber of failed transactions: 2 (0.1%)\n"
)


@pytest.fixture(scope="module")
def data(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = Dataset(postgres, tmp_path_factory.mktemp("bench"), AGENTS)
    made.make()
    return made


@pytest.fixture(scope="module")
def url(data: Dataset) -> Iterator[str]:
    with data.copy() as copy:
        yield copy


def rows(url: str) -> dict[str, int]:
    """How many rows a rotation's tables have, and how many agents have rotated."""
    counts = {
        **{name: f"count(*) FROM {name}" for name in ("retired", "receipts", "audit", "attempts")},
        "rotated": "count(DISTINCT agent_id) FROM retired",
    }
    found = {}
    with psycopg.connect(url) as connection:
        for name, count in counts.items():
            [found[name]] = connection.execute(f"SELECT {count}").fetchone() or (0,)
    return found


def head(running: servers.Running, key: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", "/v1/forward-auth", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    found = response.status, {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return found


@pytest.fixture(scope="module")
def keyturn(data: Dataset, url: str) -> Iterator[servers.Running]:
    with servers.keyturn(data.data_dir, database=url) as running:
        yield running


def test_one_query_each_answers_as_the_product_does(
    keyturn: servers.Running, data: Dataset, url: str
) -> None:
    with plan.one_query_each(data, url) as other:
        for key in [*data.keys[:3], *unknown(1), "word"]:
            (status, headers), (expected, expected_headers) = head(other, key), head(keyturn, key)
            assert status == expected
            if expected == 200:
                for each in (headers, expected_headers):
                    assert len(each.pop("x-request-id")) == 32
                    each.pop("date", None)
                assert headers == expected_headers


def test_pgbench_leaves_the_rows_that_a_rotation_leaves(
    keyturn: servers.Running, data: Dataset, url: str
) -> None:
    client = Rotating(register(keyturn.port, 1), recoverable=True)
    before = rows(url)
    with connect(keyturn.port) as connection:
        assert client.received(exchange(connection, client.next_request()))
    ours = rows(url)
    added = {table: ours[table] - before[table] for table in ours}
    assert added == {"retired": 1, "rotated": 1, "receipts": 1, "audit": 1, "attempts": 2}
    outcome = pgbench.rotate(data, COPY, "extended", 1, 1)
    left = {table: count - ours[table] for table, count in rows(url).items()}
    assert outcome.rate > 0 == outcome.errors
    assert left["retired"] == left["audit"] > 0
    # An agent's rotation ends the receipt of the one before.
    assert left["receipts"] == left["rotated"]


def test_the_figures_of_pgbench_are_those_of_its_last_seconds() -> None:
    ends = [(9, 900_000, 7000), (11, 0, 3000), (12, 500_000, 1000), (13, 0, 2000)]
    lines = [f"0 0 {took} 0 {second} {micro}" for second, micro, took in ends]
    assert pgbench.outcome(PRINTED, lines, 3) == Outcome(1.0, 2.0, 3.0, errors=2)
    assert pgbench.outcome(PRINTED, [], 3) == Outcome(0.0, 0.0, 0.0, errors=2)
    with pytest.raises(RuntimeError, match="no figures"):
        pgbench.outcome("", lines, 3)


def test_pgbench_that_fails_says_why(data: Dataset) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        pgbench.rotate(data, "nowhere", "extended", 1, 1)


def test_all_of_it_can_be_measured_and_told(data: Dataset, url: str, tmp_path: Path) -> None:
    with plan.planned(tmp_path, data, url, plan.GROUPS, connections=(4,), clients=2) as planned:
        names = [row.name for row in planned.measurements]
        figures = take_turns(
            [row for row in planned.measurements if row.name in SHORT], rounds=1, seconds=1
        )
    assert len(names) == len(plan.CHECKED) + 1 + len(plan.PROTOCOLS)
    assert set(figures.rounds) == planned.costs.keys() == set(SHORT)
    outcomes = {name: rounds[0] for name, rounds in figures.rounds.items()}
    assert all(it.rate > 0 == it.errors for it in outcomes.values()), outcomes
    assert planned.costs["rotation 2"].wal_bytes[0] > 500
    text = tables(figures, planned, sizes(url, TABLES), "head")
    assert all(f"| {name} " in text for name in (*SHORT, *TABLES))


def test_every_promised_ratio_is_a_statement() -> None:
    targets = {
        (it.measured.of, it.measured.to): it.target
        for it in plan.STATEMENTS
        if isinstance(it.measured, Ratio)
    }
    assert targets == {
        ("Keyturn, 64 connections", "one query each, 64 connections"): 2.5,
        ("rotation 64", "pgbench 64, extended"): 0.6,
    }
