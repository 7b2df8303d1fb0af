"""Section 7: a flood of refusals can't fill the disk, and is not lost either."""

import time
from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server

from .client import ABSENT_ID, Service, assert_problem, forged, ipv4
from .conftest import PROXIES, service_of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose trail nobody else writes to."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def quiet(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


def test_a_flood_past_a_429_is_one_entry_for_each_reason(quiet: Service) -> None:
    address = ipv4()
    before = len(quiet.audit())
    for _ in range(300):
        quiet.rotate(forged("ak"), forged("rs"), address=address)
    made = [entry for entry in quiet.audit() if entry["address"] == address]
    assert {entry["action"] for entry in made} == {"credential.rotation_refused"}
    assert {entry["outcome"] for entry in made} == {"refused"}
    assert {entry["agentId"] for entry in made} == {None}
    reasons = sorted(entry["details"]["reason"] for entry in made)
    assert reasons == ["invalid_credentials", "too_many_rotation_attempts"]
    assert len(quiet.audit()) - before <= 4


def test_a_known_agent_past_a_429_is_counted_too(quiet: Service) -> None:
    agent, address = quiet.register(), ipv4()
    for _ in range(100):
        quiet.rotate(agent.key, forged("rs"), address=address)
    refused = [
        entry
        for entry in quiet.audit(action="credential.rotation_refused")
        if entry["address"] == address
    ]
    reasons = sorted(entry["details"]["reason"] for entry in refused)
    assert reasons == ["invalid_credentials"] * 3 + ["too_many_rotation_attempts"]


def test_many_addresses_make_ten_entries_a_second_at_most(quiet: Service) -> None:
    before, started = len(quiet.audit()), time.monotonic()
    for _ in range(300):
        quiet.rotate(forged("ak"), forged("rs"), address=ipv4())
    seconds = time.monotonic() - started
    added = len(quiet.audit()) - before
    assert 0 < added <= 10 * (seconds + 2)


def test_floods_of_other_refusals_are_counted_too(quiet: Service) -> None:
    address = ipv4()
    before = len(quiet.audit())
    for _ in range(100):
        quiet.revoke_self(forged("ak"), forged("rs"), address=address)
        body = {"enrolmentToken": forged("en")}
        quiet.post("/v1/auth/agent-register", json=body, address=address)
        quiet.get("/v1/agents", forged("dt"), address=address)
        quiet.get("/v1/agents/self", forged("ak"), address=address)
    assert len(quiet.audit()) - before <= 12


def test_what_a_developer_tries_on_agents_that_are_not_theirs_is_counted_too(
    quiet: Service,
) -> None:
    developer, address = quiet.create_developer(), ipv4()
    before = len(quiet.audit())
    for _ in range(100):
        path = f"/v1/agents/{ABSENT_ID}/rotate-key"
        answer = quiet.post(path, developer.token, address=address)
        assert_problem(answer, 404, "agent_not_found")
    assert len(quiet.audit()) - before <= 3


def test_what_is_not_yet_in_the_trail_survives_a_crash(server: Server, quiet: Service) -> None:
    address = ipv4()
    quiet.rotate(quiet.register().key, forged("rs"), address=address)
    server.kill()
    server.start()
    found = [entry for entry in quiet.audit() if entry["address"] == address]
    assert [entry["outcome"] for entry in found] == ["refused"]
