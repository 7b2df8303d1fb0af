"""Section 3 over several processes: no two of them ever decide differently."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keyturn.testing import running_server

from .client import ANOTHER_CONNECTION, Service, after_rotation
from .conftest import PROXIES, service_of

LIMIT = 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Service]:
    """A service of four processes that allows ten attempts."""
    settings: dict[str, Any] = {"rotation_limit": LIMIT, "trusted_proxies": PROXIES}
    with running_server(workers=4, **settings) as server:
        yield service_of(server)


def _everywhere(service: Service, path: str, token: str) -> set[int]:
    """The statuses of GET over 16 connections, so that every process is asked."""
    asked = [service.get(path, token, headers=ANOTHER_CONNECTION) for _ in range(16)]
    return {answer.status_code for answer in asked}


def _at_once(service: Service, count: int, key: str, secret: str, address: str) -> list[int]:
    def rotate(_: int) -> int:
        answer = service.rotate(key, secret, address=address, headers=ANOTHER_CONNECTION)
        return answer.status_code

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(rotate, range(count)))


@pytest.mark.parametrize("number", range(5))
def test_of_ten_simultaneous_rotations_one_succeeds(cluster: Service, number: int) -> None:
    agent = cluster.register()
    statuses = _at_once(cluster, LIMIT, agent.key, agent.secret, f"198.51.100.{number}")
    assert statuses == [200] + [401] * (LIMIT - 1)
    assert cluster.inspect(agent.id)["generation"] == 2
    assert len(cluster.audit(agentId=agent.id, action="credential.rotated")) == 1


@pytest.mark.parametrize("number", range(10))
def test_of_simultaneous_attempts_as_many_pass_as_allowed(cluster: Service, number: int) -> None:
    agent = cluster.register()
    statuses = _at_once(cluster, 2 * LIMIT, agent.key, "wrong", f"198.51.101.{number}")
    assert statuses == [401] * LIMIT + [429] * LIMIT


def test_a_dead_key_is_dead_in_every_process_at_once(cluster: Service) -> None:
    agent = cluster.register()
    for _ in range(5):
        new = after_rotation(agent, cluster.rotate(agent.key, agent.secret))
        assert _everywhere(cluster, "/v1/agents/self", agent.key) == {401}
        assert _everywhere(cluster, "/v1/agents/self", new.key) == {200}
        agent = new


def test_a_revoked_agent_is_revoked_in_every_process_at_once(cluster: Service) -> None:
    agent = cluster.register()
    cluster.revoke_self(agent.key, agent.secret).raise_for_status()
    assert _everywhere(cluster, "/v1/agents/self", agent.key) == {403}


def test_a_deleted_token_is_dead_in_every_process_at_once(cluster: Service) -> None:
    made = cluster.create_token("developer", cluster.operator)
    assert _everywhere(cluster, "/v1/agents", made["token"]) == {200}
    path = f"/v1/developer-tokens/{made['id']}"
    cluster.call("DELETE", path, token=cluster.operator).raise_for_status()
    assert _everywhere(cluster, "/v1/agents", made["token"]) == {401}


def test_any_process_tells_the_metrics_of_all(cluster: Service) -> None:
    here = Service(cluster.url, cluster.operator, proxied=False)
    name = 'keyturn_requests_total{method="POST",route="/v1/auth/agent-register",status="201"}'

    def registered() -> float:
        lines = here.get("/metrics", headers=ANOTHER_CONNECTION).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = registered()
    for _ in range(12):
        cluster.post("/v1/auth/agent-register", headers=ANOTHER_CONNECTION).raise_for_status()
    assert [registered() for _ in range(8)] == [before + 12] * 8
