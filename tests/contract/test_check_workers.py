"""Section 6 over several processes and on a store that has trouble."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import locked

from .checks import CHECKS, VERIFY, ask, verdict
from .client import (
    ANOTHER_CONNECTION,
    Agent,
    Service,
    after_rotation,
    assert_problem,
    eventually,
    forged,
)
from .conftest import PROXIES, service_of
from .test_recovery import KEY, new_key


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of several processes."""
    with running_server(workers=2, trusted_proxies=PROXIES, rotation_limit=1000) as started:
        _wait_for_all(started)
        yield started


def _wait_for_all(server: Server, starts: int = 1) -> None:
    """Until every process has opened the store: one that finds it locked ends the server."""
    opened = starts * server.workers
    eventually(lambda: server.log_path.read_text().count('"open"') == opened or None)


@pytest.fixture(scope="module")
def cluster(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


@pytest.fixture(scope="module")
def token(cluster: Service) -> str:
    """A service token that sees all its agents."""
    made: str = cluster.create_token("service", cluster.operator)["token"]
    return made


def _everywhere(cluster: Service, token: str, key: str) -> set[object]:
    """What every process says, asked over 16 connections by each of three checks."""
    said: set[object] = set()
    for _ in range(16):
        forwarded = cluster.forward(key, headers=ANOTHER_CONNECTION)
        verified = cluster.verify(token, key, headers=ANOTHER_CONNECTION)
        introspected = cluster.introspect(token, key, headers=ANOTHER_CONNECTION)
        said |= {forwarded.status_code == 200, verified.json()["valid"]}
        said.add(introspected.json()["active"])
    return said


def test_a_dead_key_is_dead_in_every_process_at_once(cluster: Service, token: str) -> None:
    agent = cluster.register()
    for _ in range(3):
        assert _everywhere(cluster, token, agent.key) == {True}
        new = after_rotation(agent, cluster.rotate(agent.key, agent.secret))
        assert _everywhere(cluster, token, agent.key) == {False}
        assert _everywhere(cluster, token, new.key) == {True}
        agent = new
    cluster.revoke_self(agent.key, agent.secret).raise_for_status()
    assert _everywhere(cluster, token, agent.key) == {False}


def test_a_dead_token_is_dead_in_every_process_at_once(cluster: Service) -> None:
    agent, made = cluster.register(), cluster.create_token("service", cluster.operator)
    body = {"key": agent.key}

    def statuses() -> set[int]:
        asked = [
            cluster.post(VERIFY, made["token"], json=body, headers=ANOTHER_CONNECTION)
            for _ in range(16)
        ]
        return {answer.status_code for answer in asked}

    assert statuses() == {200}
    path = f"/v1/service-tokens/{made['id']}"
    cluster.call("DELETE", path, token=cluster.operator).raise_for_status()
    assert statuses() == {401}


def _at_once(cluster: Service, token: str, agent: Agent, cost: int, key: str) -> Counter[str]:
    headers = {**ANOTHER_CONNECTION, **({KEY: key} if key else {})}

    def pay(_: int) -> str:
        answer = cluster.verify(token, agent.key, cost, headers=headers)
        return verdict(answer.raise_for_status().json())

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(pay, range(16)))


def test_costs_are_atomic_over_all_processes(cluster: Service, token: str) -> None:
    agent = cluster.register()
    counted = _at_once(cluster, token, agent, 9, "")
    assert counted == {"valid": 11, "insufficient_credits": 5}
    assert cluster.balance(agent) == 1


def test_an_idempotency_key_pays_once_over_all_processes(cluster: Service, token: str) -> None:
    agent = cluster.register()
    assert _at_once(cluster, token, agent, 60, new_key()) == {"valid": 16}
    assert cluster.balance(agent) == 40


def test_what_was_paid_once_is_known_after_a_crash(
    server: Server, cluster: Service, token: str
) -> None:
    agent, headers = cluster.register(), {KEY: new_key()}
    cluster.verify(token, agent.key, 60, headers=headers).raise_for_status()
    server.kill()
    server.start()
    _wait_for_all(server, starts=2)
    assert cluster.verify(token, agent.key, 60, headers=headers).json()["valid"] is True
    assert cluster.balance(agent) == 40


@pytest.mark.sqlite_files
def test_a_locked_database_checks_and_takes_no_credits(
    server: Server, cluster: Service, token: str
) -> None:
    agent = cluster.register()
    with locked(server.data_dir / "keyturn.db"):
        for check in CHECKS.values():
            assert check(cluster, token, agent.key) == "valid"
            assert check(cluster, token, forged("ak")) == "invalid"
        answer = cluster.verify(token, agent.key, 5)
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"].isdigit()
    assert cluster.balance(agent) == 100
    assert cluster.verify(token, agent.key, 5).json()["creditBalance"] == 95


@pytest.mark.sqlite_files
def test_a_locked_limiter_prevents_no_check(server: Server, cluster: Service, token: str) -> None:
    agent = cluster.register()
    with locked(server.data_dir / "limits.db"):
        for check in CHECKS.values():
            assert check(cluster, token, agent.key) == "valid"
        assert_problem(ask(cluster, VERIFY, forged("sv"), agent), 401, "invalid_token")
