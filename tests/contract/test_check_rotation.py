"""Sections 3, 4 and 6: checks refuse the old key at once; a new key's first check is its use."""

import time
from collections.abc import Callable

import pytest

from .checks import CHECKS, everywhere, verdicts
from .client import Agent, Service, after_rotation, eventually
from .raw import connected, request
from .test_recovery import DEADLINE, new_key, rotate, same


def _operator_rotates(service: Service, agent: Agent) -> Agent:
    path = f"/v1/agents/{agent.id}/rotate-key"
    return after_rotation(agent, service.post(path, service.operator))


def _reinstated(service: Service, agent: Agent) -> Agent:
    path, body = f"/v1/agents/{agent.id}", {"reason": "test"}
    service.post(f"{path}/revoke", service.operator, json=body).raise_for_status()
    return after_rotation(agent, service.post(f"{path}/reinstate", service.operator))


def _itself(service: Service, agent: Agent) -> Agent:
    return after_rotation(agent, service.rotate(agent.key, agent.secret))


def _recoverably(service: Service, agent: Agent) -> Agent:
    return after_rotation(agent, rotate(service, agent, new_key()))


ROTATIONS: dict[str, Callable[[Service, Agent], Agent]] = {
    "a rotation": _itself,
    "a recoverable rotation": _recoverably,
    "an operator's rotation": _operator_rotates,
    "a reinstatement": _reinstated,
}


@pytest.mark.parametrize("case", ROTATIONS)
def test_the_old_key_is_dead_at_once_and_the_new_one_lives(
    service: Service, checker: str, agent: Agent, case: str
) -> None:
    for _ in range(5):
        assert verdicts(service, checker, agent.key) == everywhere("valid")
        new = ROTATIONS[case](service, agent)
        assert verdicts(service, checker, agent.key) == everywhere("invalid")
        assert verdicts(service, checker, new.key) == everywhere("valid")
        agent = new


@pytest.mark.parametrize("by", ["itself", "an operator"])
def test_a_revoked_agents_key_is_refused_at_once(
    service: Service, checker: str, agent: Agent, by: str
) -> None:
    assert verdicts(service, checker, agent.key) == everywhere("valid")
    if by == "itself":
        service.revoke_self(agent.key, agent.secret).raise_for_status()
    else:
        path = f"/v1/agents/{agent.id}/revoke"
        service.post(path, service.operator, json={"reason": "x"}).raise_for_status()
    assert verdicts(service, checker, agent.key) == everywhere("revoked")


def test_a_deleted_agents_keys_are_invalid_at_once(
    service: Service, checker: str, agent: Agent
) -> None:
    new = _itself(service, agent)
    assert verdicts(service, checker, new.key) == everywhere("valid")
    service.call("DELETE", f"/v1/agents/{agent.id}", token=service.operator).raise_for_status()
    for key in (agent.key, new.key):
        assert verdicts(service, checker, key) == everywhere("invalid")


def test_what_is_no_change_of_credentials_changes_nothing(
    service: Service, checker: str, agent: Agent
) -> None:
    path = f"/v1/agents/{agent.id}"
    service.post(f"{path}/rotation-secret", service.operator).raise_for_status()
    service.call("DELETE", f"{path}/rotation-secret", token=service.operator).raise_for_status()
    service.call("PATCH", path, token=service.operator, json={"name": "x"}).raise_for_status()
    service.change_credits(agent, -100)
    assert verdicts(service, checker, agent.key) == everywhere("valid")


def test_on_one_connection_every_check_goes_by_what_came_before(
    service: Service, checker: str, agent: Agent
) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    token = f"Authorization: Bearer {checker}"
    verify = f'{{"key": "{agent.key}"}}'.encode()
    batch = f'{{"keys": [{{"key": "{agent.key}"}}]}}'.encode()
    checks = (
        request("GET", "/v1/forward-auth", bearer)
        + request("POST", "/v1/keys/verify", token, body=verify)
        + request("POST", "/v1/keys/verify-batch", token, body=batch)
        + request("POST", "/v1/introspect", token, body=f"token={agent.key}".encode())
    )
    secret = f'{{"rotationSecret": "{agent.secret}"}}'.encode()
    rotation = request("POST", "/v1/agents/self/rotate-key", bearer, body=secret)
    with connected(service) as connection:
        connection.send(checks + rotation + checks)
        answers = [connection.answer() for _ in range(9)]
    told = [b"" if answer is None else answer.body for answer in answers]
    assert [answer and answer.status for answer in answers] == [200] * 5 + [401, 200, 200, 200]
    assert [b'"valid":true' in body.replace(b" ", b"") for body in told[1:3]] == [True, True]
    assert [b'"valid":false' in body.replace(b" ", b"") for body in told[6:8]] == [True, True]
    assert [b"true" in told[3], b"false" in told[8]] == [True, True]


@pytest.mark.parametrize("check", CHECKS)
def test_the_first_check_of_a_new_key_ends_its_receipt(
    service: Service, checker: str, agent: Agent, check: str
) -> None:
    key = new_key()
    first = rotate(service, agent, key)
    assert CHECKS[check](service, checker, agent.key) == "invalid"
    assert same(first, rotate(service, agent, key)) is True
    assert CHECKS[check](service, checker, first.json()["apiKey"]) == "valid"
    time.sleep(DEADLINE)
    assert rotate(service, agent, key).status_code == 401


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_is_the_last_use(service: Service, checker: str, agent: Agent, check: str) -> None:
    path = f"/v1/agents/{agent.id}"

    def last_used() -> str | None:
        at: str | None = service.get(path, service.operator).json()["lastUsedAt"]
        return at

    assert last_used() is None
    service.verify(checker, agent.key[:-1])
    assert CHECKS[check](service, checker, agent.key) == "valid"
    at = eventually(last_used)
    assert at >= service.inspect(agent.id)["createdAt"]


@pytest.mark.parametrize("check", CHECKS)
def test_a_retired_key_is_not_the_last_use(
    service: Service, checker: str, agent: Agent, check: str
) -> None:
    _itself(service, agent)
    path = f"/v1/agents/{agent.id}"
    before = service.get(path, service.operator).json()["lastUsedAt"]
    assert CHECKS[check](service, checker, agent.key) == "invalid"
    other = service.register()
    assert CHECKS[check](service, checker, other.key) == "valid"
    eventually(lambda: service.get(f"/v1/agents/{other.id}", service.operator).json()["lastUsedAt"])
    assert service.get(path, service.operator).json()["lastUsedAt"] == before
