"""A PostgreSQL that hangs, or that somebody locks: 503 with Retry-After, and it heals by itself."""

import asyncio
import secrets
import signal
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from keyturn.testing import Server, running_server
from tests.pgbouncer import running_pooler
from tests.postgres import Cluster, running_cluster

from .client import Agent, Service, after_rotation, assert_unavailable, eventually, forged, ipv6
from .conftest import PROXIES, STORE, service_of

CROWD = 400
PATIENCE = 60.0
"""More than anybody has to wait for an answer, in seconds."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that is stopped under everybody who uses it."""
    with running_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Server]:
    with running_pooler(cluster) as pooler:
        url = (pooler if STORE == "pgbouncer" else cluster).new_database()
        with running_server(database=url, trusted_proxies=PROXIES) as started:
            yield started


@pytest.fixture(scope="module")
def disturbed(server: Server) -> Service:
    return service_of(server)


@contextmanager
def hanging(cluster: Cluster) -> Iterator[None]:
    """Let every process of the server stand still: it takes connections, and answers nobody."""
    cluster.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.signal(signal.SIGCONT)


@contextmanager
def locked(cluster: Cluster, server: Server, table: str) -> Iterator[None]:
    """Let a session of somebody else's hold the table."""
    schema = conninfo_to_dict(str(server.settings["database"]))["user"]
    with psycopg.connect(cluster.url) as somebody:
        somebody.execute(f"LOCK TABLE {schema}.{table}")
        yield


async def crowd(service: Service, agent: Agent) -> list[httpx.Response]:
    """The answers to checks and rotations that all come at one moment."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE, limits=limits) as client:

        def ask(number: int) -> Awaitable[httpx.Response]:
            sent = {"Authorization": f"Bearer {agent.key}", "X-Forwarded-For": ipv6()}
            if number % 2:
                return client.get("/v1/forward-auth", headers=sent)
            body = {"rotationSecret": agent.secret}
            return client.post("/v1/agents/self/rotate-key", headers=sent, json=body)

        return await asyncio.gather(*(ask(number) for number in range(CROWD)))


def is_alive_while(service: Service, asked: Future[httpx.Response]) -> bool:
    """Whether the process answers others while it has not answered this.

    One answer shows nothing: it may have come when the other had.
    """
    answered = 0
    while not asked.done():
        service.get("/healthz").raise_for_status()
        answered += 1
        time.sleep(0.05)
    return answered > 1


def test_a_server_that_hangs_keeps_nobody_waiting_for_ever(
    cluster: Cluster, disturbed: Service
) -> None:
    agent, crowded = disturbed.register(), disturbed.register()
    once = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
    rotate = partial(disturbed.rotate, agent.key, agent.secret, **once)
    # Connections that were good a moment ago are what it must give up.
    assert disturbed.forward(agent.key).status_code == 200
    with hanging(cluster), ThreadPoolExecutor() as pool:
        check = pool.submit(disturbed.forward, agent.key)
        assert is_alive_while(disturbed, check)
        rotation, ready = pool.submit(rotate), pool.submit(disturbed.get, "/readyz")
        answers = asyncio.run(crowd(disturbed, crowded))
        for answer in (check.result(), rotation.result(), ready.result(), *answers):
            assert_unavailable(answer)
    eventually(lambda: disturbed.get("/readyz").status_code == 200)
    new = after_rotation(agent, eventually(lambda: _done(rotate())))
    assert disturbed.forward(agent.key).status_code == 401
    assert disturbed.forward(new.key).status_code == 200
    # Of one pair at most one rotation was made; nobody was told, so nobody knows.
    assert disturbed.inspect(crowded.id)["generation"] in {1, 2}


def _done(answer: httpx.Response) -> httpx.Response | None:
    return None if answer.status_code == 503 else answer


def test_who_locks_the_agents_keeps_nobody_waiting_for_ever(
    cluster: Cluster, server: Server, disturbed: Service
) -> None:
    agent = disturbed.register()
    with locked(cluster, server, "agents"), ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(disturbed.forward, agent.key),
            pool.submit(disturbed.whoami, forged("ak")),
            pool.submit(disturbed.rotate, agent.key, agent.secret),
            pool.submit(disturbed.post, "/v1/auth/agent-register"),
        ]
        assert is_alive_while(disturbed, asked[0])
        for each in asked:
            assert_unavailable(each.result())
        assert disturbed.get("/readyz").status_code == 200
    assert disturbed.whoami(agent.key).json()["generation"] == 1
    assert disturbed.rotate(agent.key, agent.secret).status_code == 200


def test_who_locks_the_limits_stops_rotations_and_no_check(
    cluster: Cluster, server: Server, disturbed: Service
) -> None:
    agent = disturbed.register()
    with locked(cluster, server, "attempts"):
        assert disturbed.forward(agent.key).status_code == 200
        assert_unavailable(disturbed.rotate(agent.key, agent.secret))
    assert disturbed.whoami(agent.key).json()["generation"] == 1
    assert disturbed.rotate(agent.key, agent.secret).status_code == 200
