"""Section 7: what checks leave in the trail, and what they don't."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import opened

from .checks import BY_TOKEN, CHECKS, ask, everywhere, verdicts
from .client import Agent, Service, eventually, forged, ipv4
from .conftest import PROXIES, service_of

REUSED = "credential.reused"
MINUTE = 60_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose file this module may write to."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def watched(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


@pytest.fixture(scope="module")
def token(watched: Service) -> str:
    """A service token that sees all its agents."""
    made: str = watched.create_token("service", watched.operator)["token"]
    return made


def _reused(service: Service, agent: Agent) -> list[dict[str, Any]]:
    return service.audit(agentId=agent.id, action=REUSED)


def _retired_earlier(server: Server, agent: Agent) -> None:
    """As if the agent's old credentials had been retired 61 seconds before they were."""
    statement = "UPDATE retired SET retired_at = retired_at - ? WHERE agent_id = ?"
    with opened(server.data_dir / "keyturn.db") as database:
        database.execute(statement, (MINUTE + 1000, agent.id))


def _retired(service: Service, agent: Agent, by: str) -> None:
    """The agent's credentials are replaced, by itself or by an operator."""
    if by == "agent":
        service.rotate(agent.key, agent.secret).raise_for_status()
    else:
        path = f"/v1/agents/{agent.id}/rotate-key"
        service.post(path, service.operator).raise_for_status()


@pytest.mark.parametrize("by", ["agent", "developer"])
@pytest.mark.parametrize("check", CHECKS)
def test_a_retired_key_at_a_check_is_reuse(
    watched: Service, token: str, check: str, by: str
) -> None:
    agent = watched.register()
    _retired(watched, agent, by)
    assert CHECKS[check](watched, token, agent.key) == "invalid"
    [entry] = eventually(lambda: _reused(watched, agent))
    details = entry["details"]
    assert (details["severity"], details["generation"]) == ("info", 1)
    assert (entry["agentId"], entry["outcome"]) == (agent.id, "refused")
    assert agent.key not in str(entry)


@pytest.mark.sqlite_files
@pytest.mark.parametrize("by", ["agent", "developer"])
@pytest.mark.parametrize("check", CHECKS)
def test_a_minute_later_it_is_a_warning_and_never_more(
    server: Server, watched: Service, token: str, check: str, by: str
) -> None:
    agent = watched.register()
    path, body = f"/v1/agents/{agent.id}", {"onReuse": "revoke"}
    watched.call("PATCH", path, token=watched.operator, json=body).raise_for_status()
    _retired(watched, agent, by)
    _retired_earlier(server, agent)
    assert CHECKS[check](watched, token, agent.key) == "invalid"
    [entry] = eventually(lambda: _reused(watched, agent))
    assert entry["details"]["severity"] == "warning"
    assert watched.inspect(agent.id)["status"] == "active"


def test_reuse_names_the_request_that_showed_the_key(watched: Service) -> None:
    agent, address = watched.register(), ipv4()
    _retired(watched, agent, "agent")
    headers = {"User-Agent": "a visitor"}
    answer = watched.forward(agent.key, address=address, headers=headers)
    [entry] = eventually(lambda: _reused(watched, agent))
    assert entry["requestId"] == answer.headers["x-request-id"]
    assert (entry["address"], entry["userAgent"]) == (address, "a visitor")


def test_repeated_reuse_is_one_entry(watched: Service, token: str) -> None:
    agent = watched.register()
    _retired(watched, agent, "agent")
    for _ in range(10):
        for check in CHECKS.values():
            check(watched, token, agent.key)
    assert len(eventually(lambda: _reused(watched, agent))) == 1
    assert len(_reused(watched, agent)) == 1


def test_checks_that_find_nothing_wrong_leave_no_entry(watched: Service, token: str) -> None:
    agent = watched.register()
    before = watched.audit()
    for check in CHECKS.values():
        for key in (agent.key, agent.key, forged("ak"), "x"):
            check(watched, token, key)
    watched.verify(token, agent.key, 1000)
    assert [entry for entry in watched.audit() if entry["agentId"] == agent.id] == [
        entry for entry in before if entry["agentId"] == agent.id
    ]


@pytest.mark.sqlite_files
def test_a_quarantined_agents_key_is_good(server: Server, watched: Service, token: str) -> None:
    agent = watched.register()
    with opened(server.data_dir / "keyturn.db") as database:
        database.execute("UPDATE agents SET status = 'quarantined' WHERE id = ?", (agent.id,))
    assert watched.inspect(agent.id)["status"] == "quarantined"
    assert verdicts(watched, token, agent.key) == everywhere("valid")


@pytest.mark.parametrize("route", BY_TOKEN)
def test_a_bad_service_token_is_refused_with_an_entry(watched: Service, route: str) -> None:
    agent, address = watched.register(), ipv4()
    answer = None
    for _ in range(20):
        refused = watched.post(route, forged("sv"), address=address, content=b"{}")
        answer = answer or refused
    assert answer is not None and answer.status_code == 401

    def found() -> list[dict[str, Any]]:
        return [entry for entry in watched.audit() if entry["address"] == address]

    [entry] = eventually(found)
    assert (entry["action"], entry["outcome"]) == ("token.refused", "refused")
    assert entry["details"]["reason"] == "invalid_token"
    assert entry["requestId"] == answer.headers["x-request-id"]
    assert ask(watched, route, None, agent).status_code == 401


@pytest.mark.parametrize("route", BY_TOKEN)
def test_a_dead_service_token_is_refused_with_an_entry_of_its_developer(
    watched: Service, route: str
) -> None:
    developer, address = watched.create_developer(), ipv4()
    agent = watched.create_agent(developer.token)
    made = watched.create_token("service", developer.token)
    path = f"/v1/service-tokens/{made['id']}"
    watched.call("DELETE", path, token=developer.token).raise_for_status()
    answer = watched.post(route, made["token"], address=address, content=b"{}")
    assert answer.status_code == 401
    find = functools.partial(_entries, watched, address)
    [entry] = eventually(find)
    assert str(entry["action"]).startswith("token.")
    assert made["token"] not in str(entry)
    assert agent.id not in str(entry)


def _entries(service: Service, address: str) -> list[dict[str, Any]]:
    return [entry for entry in service.audit() if entry["address"] == address]


def test_no_key_of_a_check_is_written_anywhere(
    server: Server, watched: Service, token: str
) -> None:
    agent = watched.register()
    idempotency_key = "an-idempotency-key-of-checks"
    watched.verify(token, agent.key, 1, headers={"Idempotency-Key": idempotency_key})
    watched.forward(agent.key, headers={"User-Agent": agent.key, "Cookie": agent.key})
    watched.get(f"/v1/forward-auth/{agent.key}?x={agent.key}", agent.key)
    watched.introspect(token, agent.key)
    watched.introspect(token, agent.key, params={"token": agent.key})
    watched.verify_batch(token, agent.key, agent.secret, [agent.secret])
    watched.get("/readyz")
    trail = str(watched.audit()).encode()
    files = [server.log_path, *(p for p in server.data_dir.iterdir() if p.name != "server-key")]
    held = b"".join(file.read_bytes() for file in files) + trail + watched.get("/metrics").content
    shown = (agent.key, agent.secret, token, idempotency_key)
    assert [number for number, text in enumerate(shown) if text.encode() in held] == []
