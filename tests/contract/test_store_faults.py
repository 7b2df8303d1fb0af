"""Sections 2 and 3: a store that does not answer is 503, never 401 or 200, and heals by itself."""

import contextlib
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import locked

from .client import Service, after_rotation, assert_problem, assert_unavailable, forged, ipv4
from .conftest import PROXIES, service_of

pytestmark = pytest.mark.sqlite_files


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose files this module disturbs."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def disturbed(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


def _assert_all_unavailable(*calls: Callable[[], httpx.Response]) -> None:
    """All calls, made at once, are answered 503: each would wait a while for the lock."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for answer in pool.map(lambda call: call(), calls):
            assert_unavailable(answer)


def test_a_locked_limiter_lets_nobody_through(server: Server, disturbed: Service) -> None:
    agent, address = disturbed.register(), ipv4()
    with locked(server.data_dir / "limits.db"):
        _assert_all_unavailable(
            lambda: disturbed.rotate(agent.key, agent.secret, address=address),
            lambda: disturbed.rotate(forged("ak"), forged("rs"), address=address),
            lambda: disturbed.revoke_self(agent.key, agent.secret, address=address),
            lambda: disturbed.post("/v1/auth/agent-register", address=address),
        )
        assert disturbed.whoami(agent.key).json()["generation"] == 1
        assert disturbed.get("/v1/agents", disturbed.operator).status_code == 200
    assert disturbed.rotate(agent.key, agent.secret, address=address).status_code == 200


def test_a_locked_database_reads_and_does_not_write(server: Server, disturbed: Service) -> None:
    agent = disturbed.register()
    before = disturbed.inspect(agent.id)
    trail = disturbed.audit(agentId=agent.id)
    path = f"/v1/agents/{agent.id}"
    with locked(server.data_dir / "keyturn.db"):
        _assert_all_unavailable(
            lambda: disturbed.rotate(agent.key, agent.secret),
            lambda: disturbed.post("/v1/auth/agent-register"),
            lambda: disturbed.post(f"{path}/rotate-key", disturbed.operator),
            lambda: disturbed.call("DELETE", path, token=disturbed.operator),
        )
        assert disturbed.whoami(agent.key).status_code == 200
        assert disturbed.get("/v1/agents", disturbed.operator).status_code == 200
        assert disturbed.get("/healthz").status_code == 200
        assert_problem(disturbed.whoami(forged("ak")), 401, "invalid_credentials")
    assert disturbed.inspect(agent.id) == before
    assert disturbed.audit(agentId=agent.id) == trail
    assert disturbed.rotate(agent.key, agent.secret).status_code == 200


def test_a_wrong_pair_is_refused_although_the_trail_has_to_wait(
    server: Server, disturbed: Service
) -> None:
    agent, address = disturbed.register(), ipv4()
    with locked(server.data_dir / "keyturn.db"):
        answer = disturbed.rotate(agent.key, forged("rs"), address=address)
        assert answer.status_code in {401, 503}
    after = disturbed.rotate(agent.key, agent.secret, address=address)
    assert after.status_code == 200


@contextlib.contextmanager
def _no_file_may_grow(server: Server) -> Iterator[None]:
    """The next writes past the present size of the largest file fail."""
    largest = max(path.stat().st_size for path in server.data_dir.iterdir())
    hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + 8192, hard))
    try:
        yield
    finally:
        # The service may have ended by itself: whether a commit that failed is on the disk, nobody
        # in the process knows.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


def _until_registration_fails(service: Service) -> tuple[int, httpx.Response]:
    """Register until it no longer works; how often it did, and the first refusal."""
    for count in range(9_000):
        answer = service.post("/v1/auth/agent-register")
        if answer.status_code != 201:
            return count, answer
    raise AssertionError("nothing ever failed")


def test_a_write_that_fails_is_503_and_leaves_nothing_half_done(
    server: Server, disturbed: Service
) -> None:
    first = disturbed.register()
    agent = after_rotation(first, disturbed.rotate(first.key, first.secret))
    before = len(disturbed.listed("/v1/agents", disturbed.operator))
    with _no_file_may_grow(server):
        count, refused = _until_registration_fails(disturbed)
        assert_unavailable(refused)
    server.restart()
    listed = disturbed.listed("/v1/agents", disturbed.operator)
    registered = {entry["agentId"] for entry in disturbed.audit(action="agent.registered")}
    # Of the one that was refused nobody knows; all others are whole, or not there at all.
    assert len(listed) - before - count in {0, 1}
    assert {item["agentId"] for item in listed} <= registered
    assert disturbed.whoami(agent.key).json()["generation"] == 2
    assert_problem(disturbed.whoami(first.key), 401, "invalid_credentials")
    assert disturbed.rotate(agent.key, agent.secret).status_code == 200
