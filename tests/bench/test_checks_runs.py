"""A little of the measurement of checks, against real servers and a real wrk."""

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bench import servers
from bench.checks import others, scale, wrk
from bench.checks.account import Account
from bench.checks.dataset import Dataset, dataset
from bench.checks.plan import Plan, planned, service_token
from bench.checks.requests import (
    AT_COST,
    CHECKS,
    VERIFY,
    Answer,
    Check,
    forward_auth,
    malformed,
    unknown,
    write,
)
from bench.checks.rotator import rotating
from bench.clients import Rotating, register
from bench.http1 import connect, exchange
from bench.machine import memory
from bench.suite import take_turns
from keyturn.core.agent import MAX_CREDITS
from keyturn.storage.sqlite_file import connect as connect_to

AGENTS = 40
SHORT = ("bare ASGI", "nginx", "keys/verify, cost 1 (serve)", "forward-auth, 50 rotations (ASGI)")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("checks"), AGENTS)


@dataclass(frozen=True)
class Token:
    text: str = field(repr=False)


@pytest.fixture(scope="module")
def token(data: Dataset) -> Token:
    return Token(service_token(data))


@pytest.fixture(scope="module")
def keyturn(data: Dataset) -> Iterator[servers.Running]:
    with servers.keyturn(data.data_dir) as running:
        yield running


def answered(running: servers.Running, message: bytes) -> tuple[int, str]:
    with connect(running.port) as connection:
        response = exchange(connection, message)
    return response.status, response.body.decode()


def header_lengths(running: servers.Running, key: str) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", "/v1/forward-auth", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()
    return {name.lower(): len(value) for name, value in response.getheaders()}


def test_a_dataset_is_made_once(data: Dataset) -> None:
    before, keys = data.database.path.stat().st_ino, data.keys
    data.make()
    unchanged = data.keys == keys
    assert unchanged and data.database.path.stat().st_ino == before


def test_a_dataset_of_another_schema_or_half_made_is_made_again(tmp_path: Path) -> None:
    made = dataset(tmp_path, 3)
    stamp = made.folder / "complete.json"
    for spoil in (lambda: stamp.write_text(json.dumps({"schema": 1})), stamp.unlink):
        before = made.keys
        spoil()
        made.make()
        kept = len(set(made.keys) & set(before))
        assert (len(made.keys), kept) == (3, 0)


def test_an_agent_has_credits_enough_and_never_too_many(
    keyturn: servers.Running, data: Dataset, token: Token
) -> None:
    _, body = answered(keyturn, VERIFY.request(data.keys[0], token.text))
    assert 10**11 < json.loads(body)["creditBalance"] <= MAX_CREDITS


def test_those_that_are_drawn_have_used_their_keys_before(data: Dataset) -> None:
    with contextlib.closing(connect_to(data.database)) as connection:
        used = connection.execute("SELECT count(*) FROM agents WHERE last_used_at > created_at")
        assert used.get == AGENTS


@pytest.mark.parametrize("check", [*CHECKS, AT_COST], ids=lambda check: check.name)
def test_every_key_of_the_sample_is_good(
    keyturn: servers.Running, data: Dataset, token: Token, check: Check
) -> None:
    count = len(data.keys)
    assert count == AGENTS
    for key in data.keys:
        status, body = answered(keyturn, check.request(key, token.text))
        assert status == check.good.status and check.good.text in body


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("keys", [unknown, malformed])
def test_every_other_key_is_refused(
    keyturn: servers.Running, token: Token, check: Check, keys: Callable[[int], list[str]]
) -> None:
    for key in keys(3):
        status, body = answered(keyturn, check.request(key, token.text))
        assert status == check.refused.status and check.refused.text in body


@pytest.mark.parametrize("kind", ["bare", "nginx", "plain"])
def test_what_is_compared_answers_with_the_same_headers(
    kind: str, keyturn: servers.Running, data: Dataset, tmp_path: Path
) -> None:
    started: AbstractContextManager[servers.Running] = {
        "bare": lambda: servers.bare("checks"),
        "nginx": lambda: servers.nginx(tmp_path / "nginx"),
        "plain": lambda: servers.keyturn(data.data_dir, kind=servers.PlainServer),
    }[kind]()
    with started as running:
        found = header_lengths(running, data.keys[0])
    expected = header_lengths(keyturn, data.keys[0])
    # The names of agents differ by a few characters, and nginx adds three headers of its own.
    for headers in (found, expected):
        headers.pop("x-agent-name")
    assert {name: found.get(name) for name in expected} == expected
    assert found.keys() - expected.keys() <= {"server", "connection", "content-type"}


def test_wrk_draws_from_the_file_and_counts_what_is_not_the_expected_answer(
    keyturn: servers.Running, data: Dataset, tmp_path: Path
) -> None:
    requests = write(tmp_path / "requests", [forward_auth(key) for key in data.keys])
    load = wrk.Load(keyturn, requests, Answer(200), connections=4)
    run = wrk.drive(load, 1)
    assert run.good > 0 and run.outcome.errors == 0
    assert 0 < run.outcome.p50 <= run.outcome.p99
    for wrong in (Answer(401), Answer(200, "valid")):
        run = wrk.drive(replace(load, answer=wrong), 1)
        assert run.good == run.outcome.rate == 0
        assert run.outcome.errors > 0


def test_every_second_key_that_is_refused_is_an_error(
    keyturn: servers.Running, data: Dataset, tmp_path: Path
) -> None:
    keys = [*data.keys, *unknown(AGENTS)]
    requests = write(tmp_path / "requests", [forward_auth(key) for key in keys])
    run = wrk.drive(wrk.Load(keyturn, requests, Answer(200), connections=4), 1)
    assert 0.3 < run.outcome.errors / (run.outcome.errors + run.good) < 0.7


def test_wrk_that_reaches_nobody_gives_no_figures(tmp_path: Path) -> None:
    load = wrk.Load(servers.Running(servers.free_port(), 1), tmp_path / "none", Answer(200))
    with pytest.raises(RuntimeError, match="wrk gave no figures"):
        wrk.drive(load, 1)


def test_credits_are_counted_to_the_last_one(
    keyturn: servers.Running, data: Dataset, token: Token
) -> None:
    right = Account(keyturn, data.keys[0], token.text)
    assert [good for _, good in right.findings(0.2)] == [True, True]
    lost = Account(keyturn, data.keys[0], token.text, good=1)
    assert [good for _, good in lost.findings(0.2)] == [False, True]


def test_a_credit_more_than_was_answered_is_found(
    keyturn: servers.Running, data: Dataset, token: Token
) -> None:
    doubled = Account(keyturn, data.keys[0], token.text)
    status, _ = answered(keyturn, AT_COST.request(data.keys[0], token.text))
    assert status == 200
    assert [good for _, good in doubled.findings(0.2)] == [False, True]


def test_the_rotator_keeps_its_agents_and_tells_its_rate(keyturn: servers.Running) -> None:
    pairs = register(keyturn.port, 4)
    clients = [Rotating(pairs[:2]), Rotating(pairs[2:])]
    with rotating(keyturn.port, clients, 100) as found:
        time.sleep(0.5)
    assert found.busy > 0 == found.errors
    assert found.done
    for client in clients:
        for key, _ in client.pairs:
            status, _ = answered(keyturn, forward_auth(key))
            assert status == 200


def test_the_rotator_waits_for_the_turn_of_each_client(keyturn: servers.Running) -> None:
    clients = [Rotating([pair]) for pair in register(keyturn.port, 2)]
    with rotating(keyturn.port, clients, 0.001) as found:
        time.sleep(0.3)
    assert len(found.done) <= 1


def test_limits_cost_and_checks_while_agents_rotate_can_be_measured(
    data: Dataset, tmp_path: Path
) -> None:
    with planned(tmp_path, data, ["limits", "cost", "rotations"]) as plan:
        rows = [row for row in plan.measurements if row.name in SHORT]
        figures = take_turns(rows, rounds=1, seconds=1)
        assert plan.account is not None
        assert all(good for _, good in plan.account.findings(0.2))
    assert plan.missing == []
    assert set(figures.rounds) == set(SHORT)
    assert all(rounds[0].rate > 0 == rounds[0].errors for rounds in figures.rounds.values())
    assert figures.rounds[SHORT[-1]][0].rotations is not None


class BareAsPeer:
    """Looks nothing up, which is enough to be started and measured."""

    def __init__(self, name: str, program: str) -> None:
        self.name = name
        self._program = program

    def install(self, build_folder: Path) -> None:
        (build_folder / "peers" / self.name).mkdir(parents=True)

    def seed(self, count: int, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "keys").write_text("\n".join(f"key-{at}" for at in range(count)))

    def keys(self, folder: Path) -> list[str]:
        return (folder / "keys").read_text().split()

    def serve(self, _folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        return [self._program, "-m", "bench.bare", "checks", str(port)], dict(os.environ)

    def request(self, credential: str) -> tuple[str, str, dict[str, str], bytes]:
        return "GET", "/", {"Authorization": f"Bearer {credential}"}, b""


def test_a_peer_is_measured_and_one_that_cannot_be_had_is_told_in_a_line(tmp_path: Path) -> None:
    peers = [BareAsPeer("none", "/nowhere/python"), BareAsPeer("bare", sys.executable)]
    plan = Plan()
    (tmp_path / "peers" / "bare").mkdir(parents=True)
    assert others.installed(peers, tmp_path) == [peers[1]]
    (tmp_path / "peers" / "bare").rmdir()
    with contextlib.ExitStack() as stack:
        others.add_peers(plan, stack, peers, tmp_path, tmp_path, 5)
        (row,) = plan.measurements
        outcome = row.run(1)
    assert row.name == "bare (peer)" and outcome.rate > 0 == outcome.errors
    assert [line.partition(":")[0] for line in plan.missing] == ["none (peer)"]
    assert plan.statements[-1].name == "forward-auth, keyturn serve / bare"


def test_sizes_can_be_compared(tmp_path: Path) -> None:
    figures, footprints = scale.measure(tmp_path, tmp_path, (5, 50), 1, 1)
    assert [it.agents for it in footprints] == [5, 50]
    assert all(rounds[0].errors == 0 for rounds in figures.rounds.values())
    assert footprints[0].bytes_per_agent > footprints[1].bytes_per_agent > 0


def test_a_process_holds_memory(keyturn: servers.Running) -> None:
    own, resident = memory(keyturn.pid)
    assert 0 < own < resident
