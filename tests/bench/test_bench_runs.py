"""A little of every measurement, so that the bench works on the day it is needed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from bench import floor, plan, servers
from bench.bare import ENCODED
from bench.clients import Repeating, Rotating, register, rotation
from bench.group_commit import Raw
from bench.http1 import Response, UnreadableResponseError, connect, exchange, parse, request
from bench.load import drive
from bench.machine import cpu_seconds, describe
from bench.suite import take_turns
from bench.timing import contenders
from bench.timing.order import round_robin
from bench.timing.sampling import sample
from keyturn.core.credential import Kind

SOON = 0.2
ANSWER = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\nx: y\r\n\r\nbody"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench") / "data"


@pytest.fixture(scope="module")
def keyturn(data: Path) -> Iterator[servers.Running]:
    with servers.keyturn(data) as running:
        yield running


@contextmanager
def raw(folder: Path) -> Iterator[Raw]:
    opened = Raw(folder)
    try:
        yield opened
    finally:
        opened.close()


def rows(folder: Path) -> Counter[str]:
    """How many rows each table has."""
    found: Counter[str] = Counter()
    for name in ("keyturn.db", "limits.db"):
        with closing(apsw.Connection(str(folder / name))) as connection:
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            ):
                found[table] = connection.execute(f"SELECT count(*) FROM {table}").get
    return found


def test_an_answer_is_read_once_it_is_complete() -> None:
    assert [parse(ANSWER[:length]) for length in range(len(ANSWER))] == [None] * len(ANSWER)
    assert parse(ANSWER) == Response(401, b"body")


def test_an_answer_of_unknown_length_is_refused() -> None:
    with pytest.raises(UnreadableResponseError, match="Content-Length"):
        parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_a_request_is_what_http_says() -> None:
    lines = request("POST", "/x", key="k", body=b"{}", extra="A: b\r\n").split(b"\r\n")
    assert lines[0] == b"POST /x HTTP/1.1"
    assert {b"Authorization: Bearer k", b"A: b", b"Content-Length: 2"} < set(lines)
    assert lines[-2:] == [b"", b"{}"]


@pytest.mark.parametrize("write", [floor.appended, floor.overwritten])
def test_the_floor_can_be_measured(write: plan.FloorWriter, tmp_path: Path) -> None:
    assert all(took > 0 for took in write(tmp_path, SOON))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) >= 4096


def test_raw_commits_leave_the_rows_that_rotations_leave(
    keyturn: servers.Running, data: Path, tmp_path: Path
) -> None:
    client = Rotating(register(keyturn.port, 1))
    before = rows(data)
    with connect(keyturn.port) as connection:
        for _ in range(3):
            assert client.received(exchange(connection, client.next_request()))
    for_each = {table: count / 3 for table, count in (rows(data) - before).items()}
    with raw(tmp_path) as database:
        before = rows(tmp_path)
        rotations = 8 * len(database.commits(8, SOON))
        left = rows(tmp_path) - before
    assert left == {table: count * rotations for table, count in for_each.items()}
    assert {"audit", "retired", "attempts"} <= left.keys()


@pytest.mark.parametrize("name", ["asgi", "fastapi"])
def test_a_bare_server_answers_as_much_as_a_rotation_does(name: str) -> None:
    message = rotation("sk_live_ak_x", "sk_live_rs_x", address="2001:db8::1")
    with servers.bare(name) as running:
        with connect(running.port) as connection:
            response = exchange(connection, message)
        sample = drive(running.port, [Repeating(message)] * 3, warm_up=0, seconds=SOON)
    assert (response.status, len(response.body)) == (200, len(ENCODED))
    assert sample.latencies
    assert sample.errors == 0


def test_rotating_clients_never_lose_their_agents(keyturn: servers.Running) -> None:
    clients = [Rotating(register(keyturn.port, 2)) for _ in range(3)]
    before = [list(client.pairs) for client in clients]
    for _ in range(2):
        sample = drive(keyturn.port, clients, warm_up=0.1, seconds=SOON, server=keyturn.pid)
        assert sample.latencies
        assert sample.errors == 0
    assert all(
        set(old).isdisjoint(client.pairs) for old, client in zip(before, clients, strict=True)
    )


def test_a_refused_rotation_counts_as_an_error(keyturn: servers.Running) -> None:
    made_up = [(contenders.new(Kind.API_KEY), "sk_live_rs_x")]
    sample = drive(keyturn.port, [Rotating(made_up)], warm_up=0, seconds=SOON)
    assert sample.errors > 0
    assert sample.latencies == []


def test_the_contenders_are_all_refused_and_timed(keyturn: servers.Running) -> None:
    three = contenders.contract(keyturn.port, 5)
    took = sample(keyturn.port, three, round_robin(3, 5))
    assert [len(times) for times in took] == [5, 5, 5]


def test_those_with_an_idempotency_key_are_all_refused_and_timed(keyturn: servers.Running) -> None:
    four = contenders.with_idempotency_key(keyturn.port, 5)
    assert all(message.count(b"Idempotency-Key: ") == 1 for it in four for message in it.messages)
    took = sample(keyturn.port, four, round_robin(4, 5))
    assert [len(times) for times in took] == [5, 5, 5, 5]


def test_a_contender_that_is_not_refused_stops_the_comparison(keyturn: servers.Running) -> None:
    key, secret = register(keyturn.port, 1)[0]
    accepted = [rotation(key, secret, address="2001:db8::1")]
    with pytest.raises(UnreadableResponseError, match="200, not 401"):
        sample(keyturn.port, [contenders.Contender("good", accepted)], [0])


def test_the_planted_server_is_the_product(tmp_path: Path) -> None:
    with servers.planted(tmp_path / "data") as running:
        for extra in ("X-Planted: 0\r\n", "X-Planted: 1\r\n"):
            of = contenders.unknown("unknown", 2, extra=extra)
            assert len(sample(running.port, [of], round_robin(1, 2))[0]) == 2


def test_the_whole_bench_runs(tmp_path: Path) -> None:
    with plan.measurements(tmp_path, ["floor", "group-commit", "asgi"]) as found:
        figures = take_turns(found, rounds=1, seconds=0.05)
    assert {outcome.errors for rounds in figures.rounds.values() for outcome in rounds} == {0}
    assert all(figures.spread(measurement.name, "rate").low > 0 for measurement in found)


def test_a_process_has_used_its_processor(keyturn: servers.Running) -> None:
    assert cpu_seconds(keyturn.pid) > 0


def test_the_machine_names_its_file_system_and_libraries(tmp_path: Path) -> None:
    machine = describe(tmp_path)
    assert machine["filesystem"] != "unknown"
    assert "apsw" in machine["libraries"]


def test_a_process_that_ends_as_it_is_looked_at_has_used_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(_path: Path) -> str:
        raise ProcessLookupError

    monkeypatch.setattr(Path, "read_text", ended)
    assert cpu_seconds(1) == 0
