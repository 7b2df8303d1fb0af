"""`--unreliable`: committed answers are lost, cut, delayed or duplicated, and nothing else is."""

import json
import select
import uuid
from collections.abc import Iterator

import httpx
import pytest

from keyturn.testing import Server, Unreliable, running_server

from .client import (
    CREDENTIAL,
    Agent,
    Service,
    assert_problem,
    eventually,
    forged,
    unique,
)
from .conftest import PROXIES, service_of
from .raw import connected, head, request

REGISTER = "/v1/auth/agent-register"
ROTATE = "/v1/agents/self/rotate-key"
LOSE_ALL = Unreliable(lose=100)
CUT_ALL = Unreliable(lose=0, cut=100)
DELAY_ALL = Unreliable(lose=0, delay=100)
DUPLICATE_ALL = Unreliable(lose=0, duplicate=100)
BREAK_ALL = Unreliable(lose=25, cut=25, delay=25, duplicate=25)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that the tests start again, with other faults."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def breakable(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


@pytest.fixture(scope="module")
def agents(breakable: Service) -> list[Agent]:
    """Agents from before the faults."""
    return [breakable.register() for _ in range(10)]


@pytest.fixture
def victim(agents: list[Agent]) -> Agent:
    """One of them that no other test has had."""
    return agents.pop()


def _restart(server: Server, unreliable: Unreliable | float | None) -> None:
    server.unreliable = unreliable
    assert server.stop() == 0
    server.log_path.write_text("")
    server.start()


def _faults(server: Server) -> list[tuple[str, str]]:
    """The faults of the log since the start, each with its request's id."""
    lines = [
        json.loads(line) for line in server.log_path.read_text().splitlines() if line[0] == "{"
    ]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    assert CREDENTIAL.search(server.log_path.read_text()) is None
    return [(line["fault"], line["request_id"]) for line in lines if "fault" in line]


def _rotation(agent: Agent) -> bytes:
    body = json.dumps({"rotationSecret": agent.secret}).encode()
    return request("POST", ROTATE, f"Authorization: Bearer {agent.key}", body=body)


def _rotation_ids(service: Service, agent: Agent) -> list[str]:
    entries = service.audit(agentId=agent.id, action="credential.rotated")
    return [entry["requestId"] for entry in entries]


def test_an_answer_that_is_lost_was_committed(
    server: Server, breakable: Service, victim: Agent
) -> None:
    _restart(server, LOSE_ALL)
    with connected(breakable) as connection:
        connection.send(_rotation(victim))
        assert connection.rest() == b""
    assert breakable.inspect(victim.id)["generation"] == 2
    assert breakable.whoami(victim.key).status_code == 401
    (request_id,) = _rotation_ids(breakable, victim)
    assert _faults(server) == [("lose", request_id)]


def test_an_answer_that_is_cut_was_committed(
    server: Server, breakable: Service, victim: Agent
) -> None:
    _restart(server, CUT_ALL)
    with pytest.raises(httpx.RemoteProtocolError):
        breakable.rotate(victim.key, victim.secret)
    assert breakable.inspect(victim.id)["generation"] == 2
    (request_id,) = _rotation_ids(breakable, victim)
    assert _faults(server) == [("cut", request_id)]


def test_an_answer_is_cut_in_its_head_or_in_its_body(
    server: Server, breakable: Service, victim: Agent
) -> None:
    # Revoking again changes nothing, so that the whole body is known.
    _restart(server, None)
    revoke = f"/v1/agents/{victim.id}/revoke"
    whole = breakable.post(revoke, breakable.operator, json={"reason": "a test"}).content
    _restart(server, CUT_ALL)
    bearer = f"Authorization: Bearer {breakable.operator}"
    heads: list[bytes] = []
    bodies: list[bytes] = []
    for _ in range(60):
        with connected(breakable) as connection:
            connection.send(request("POST", revoke, bearer, body=b'{"reason": "a test"}'))
            lines, complete, body = connection.rest().partition(b"\r\n\r\n")
        assert lines.startswith(b"HTTP/1.1 200 OK\r\n"[: len(lines)]) and lines
        if complete:
            assert f"content-length: {len(whole)}".encode() in lines.lower()
        (bodies if complete else heads).append(body)
    assert all(whole.startswith(body) and body != whole for body in bodies)
    assert any(bodies) and heads


def test_an_answer_that_is_delayed_comes_after_its_change_was_seen(
    server: Server, breakable: Service
) -> None:
    _restart(server, DELAY_ALL)
    still_open = [_is_open_after_commit(breakable) for _ in range(5)]
    assert any(still_open)
    assert [fault for fault, _ in _faults(server)] == ["delay"] * 5


def _is_open_after_commit(service: Service) -> bool:
    """Register, and whether the answer was still to come when the agent could be seen."""
    name = unique("delayed")
    with connected(service) as connection:
        connection.send(request("POST", REGISTER, body=json.dumps({"name": name}).encode()))
        eventually(lambda: _named(service, name))
        # Answered after the registration, if that was not held back.
        _named(service, name)
        readable, _, _ = select.select([connection.socket], [], [], 0)
        answer = connection.answer()
        assert answer is not None and answer.status == 201
        assert service.whoami(answer.json()["apiKey"]).status_code == 200
    return not readable


def _named(service: Service, name: str) -> list[str]:
    found = service.listed("/v1/agents", service.operator, q=name)
    return [agent["agentId"] for agent in found]


def test_a_duplicated_registration_makes_two_agents(server: Server, breakable: Service) -> None:
    _restart(server, DUPLICATE_ALL)
    name = unique("twice")
    shown = breakable.register(name)
    first, second = sorted(_named(breakable, name), key=lambda id: id == shown.id)
    assert first != second == shown.id
    created = [breakable.inspect(id)["createdAt"] for id in (first, second)]
    assert created == sorted(created)
    (entry,) = breakable.audit(agentId=first)
    assert _faults(server) == [("duplicate", entry["requestId"])]


def test_the_answer_to_a_duplicated_rotation_is_the_second_one(
    server: Server, breakable: Service, victim: Agent
) -> None:
    _restart(server, DUPLICATE_ALL)
    answer = breakable.rotate(victim.key, victim.secret)
    assert_problem(answer, 401, "invalid_credentials")
    assert breakable.inspect(victim.id)["generation"] == 2
    (request_id,) = _rotation_ids(breakable, victim)
    assert request_id != answer.headers["x-request-id"]
    assert _faults(server) == [("duplicate", request_id)]


def test_a_duplicated_rotation_that_can_be_repeated_is_answered_with_the_new_pair(
    server: Server, breakable: Service, victim: Agent
) -> None:
    _restart(server, DUPLICATE_ALL)
    headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    answer = breakable.rotate(victim.key, victim.secret, headers=headers)
    assert answer.headers["idempotency-replayed"] == "true"
    assert breakable.whoami(answer.json()["apiKey"]).json()["generation"] == 2


def test_a_refusal_and_a_read_are_left_alone(
    server: Server, breakable: Service, victim: Agent
) -> None:
    _restart(server, BREAK_ALL)
    assert breakable.whoami(victim.key).status_code == 200
    assert breakable.get("/v1/agents", breakable.operator).status_code == 200
    assert breakable.rotate(victim.key, forged("rs")).status_code == 401
    assert breakable.rotate(victim.key, "").status_code == 400
    assert breakable.post("/v1/agents/self").status_code == 405
    assert breakable.post("/v1/nothing").status_code == 404
    assert breakable.post(REGISTER, content=b" " * 9000).status_code == 413
    assert _faults(server) == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_every_kind_of_change_is_unreliable(
    server: Server, breakable: Service, victim: Agent, method: str
) -> None:
    _restart(server, LOSE_ALL)
    path = f"/v1/agents/{victim.id}"
    with pytest.raises(httpx.RemoteProtocolError):
        breakable.call(method, path, token=breakable.operator, json={"name": "new"})
    seen = breakable.get(path, breakable.operator)
    assert seen.status_code == 404 or seen.json()["agentName"] == "new"


def test_answers_before_a_lost_one_arrive(server: Server, breakable: Service) -> None:
    _restart(server, LOSE_ALL)
    sent = [request("GET", "/healthz"), request("POST", REGISTER), request("GET", "/healthz")]
    with connected(breakable) as connection:
        connection.send(b"".join(sent))
        first = connection.answer()
        assert first is not None and first.status == 200
        assert connection.rest() == b""
    assert server.stop() == 0
    assert len(_faults(server)) == 1


def test_a_client_that_goes_away_is_no_failure(server: Server, breakable: Service) -> None:
    _restart(server, BREAK_ALL)
    for sent in (head("POST", REGISTER, "Content-Length: 2"), *[request("POST", REGISTER)] * 40):
        with connected(breakable) as connection:
            connection.send(sent)
    eventually(lambda: len(_faults(server)) > 10)
    assert server.stop() == 0
    assert _faults(server)
