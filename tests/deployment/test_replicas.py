"""The Caddyfile of the compose file, in front of two real Keyturns on one PostgreSQL."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing import Server
from tests.contract.client import HTTP, Service, after_rotation
from tests.postgres import Cluster

from .proxies import EXAMPLES, free_port, run_caddy, running

ATTEMPTS = 3
SERVER_KEY = "k1:" + "A" * 43


@dataclass(frozen=True)
class Replicas:
    """Two servers as one service."""

    servers: tuple[Server, Server]
    caddy: Service


@pytest.fixture(scope="module")
def replicas(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Started, with Caddy in front of them."""
    tmp_path = tmp_path_factory.mktemp("replicas")
    settings: dict[str, Any] = {
        "database": postgres.new_database(),
        "server_key": SERVER_KEY,
        "trusted_proxies": "127.0.0.1/32",
        "rotation_limit": ATTEMPTS,
    }
    first, second = (Server(tmp_path / name, **settings) for name in "ab")
    try:
        first.start()
        second.start()
        with running_caddy(tmp_path / "caddy", first.port, second.port) as port:
            yield Replicas((first, second), Service(f"http://127.0.0.1:{port}", "", proxied=False))
    finally:
        first.kill()
        second.kill()


def test_with_a_replica_stopped_every_call_is_answered(replicas: Replicas) -> None:
    agent = replicas.caddy.register()
    first, _ = replicas.servers
    first.stop()
    registered = [replicas.caddy.post("/v1/auth/agent-register") for _ in range(3)]
    assert [answer.status_code for answer in registered] == [201] * 3
    reads = [replicas.caddy.whoami(agent.key).status_code for _ in range(5)]
    assert reads == [200] * 5
    first.start()


def test_attempts_count_over_both_replicas_whatever_address_the_caller_claims(
    replicas: Replicas,
) -> None:
    agent = replicas.caddy.register()
    answers = []
    for at in range(ATTEMPTS + 1):
        headers = {"X-Forwarded-For": f"203.0.113.{at}"}
        answers.append(replicas.caddy.rotate(agent.key, agent.secret, headers=headers))
        if answers[-1].status_code == 200:
            old, agent = agent, after_rotation(agent, answers[-1])
            directly = [Service(server.url, "", proxied=False) for server in replicas.servers]
            assert [it.whoami(old.key).status_code for it in directly] == [401, 401]
    assert [answer.status_code for answer in answers] == [200] * ATTEMPTS + [429]


def test_metrics_are_not_for_visitors(replicas: Replicas) -> None:
    assert replicas.caddy.get("/metrics").status_code == 404
    assert HTTP.get(f"{replicas.servers[0].url}/metrics").status_code == 200


@contextlib.contextmanager
def running_caddy(folder: Path, *ports: int) -> Iterator[int]:
    """The very file, but for the names of the replicas; the site's name is a port here."""
    text = (EXAMPLES / "compose" / "Caddyfile").read_text()
    for name, port in zip(("keyturn-a", "keyturn-b"), ports, strict=True):
        assert f"{name}:8787" in text
        text = text.replace(f"{name}:8787", f"127.0.0.1:{port}")
    folder.mkdir()
    (folder / "Caddyfile").write_text(text)
    port = free_port()
    with running(run_caddy(), folder, port, SITE=f"http://127.0.0.1:{port}"):
        yield port
