"""Section 4: a rotation whose answer was lost is repeated, and has the very same answer."""

import re
import time

import httpx
import pytest

from .client import (
    Agent,
    Service,
    after_rotation,
    assert_problem,
    eventually,
    forged,
    ipv4,
    unique,
)

KEY = "Idempotency-Key"
DOCUMENTED = "7c1f3c2e-95d4-4d0b-8a51-3f1d2b6e4a90"
REPLAYED = "idempotency-replayed"
DEADLINE = 5.0
"""Seconds within which the first use of the new key ends the receipt."""


def new_key() -> str:
    return unique("an-idempotency-key-of-ours")


def rotate(service: Service, agent: Agent, key: str | None, **content: str) -> httpx.Response:
    """A rotation of this pair with this idempotency key."""
    headers = {} if key is None else {KEY: key}
    return service.rotate(agent.key, agent.secret, headers=headers, **content)


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether the second is the first again, to the byte."""
    return one.status_code == other.status_code and one.content == other.content


def use(service: Service, lost: Agent, new: Agent, key: str) -> None:
    """The new key is used, and its receipt ends in time."""
    service.whoami(new.key).raise_for_status()
    deadline = time.monotonic() + DEADLINE
    while rotate(service, lost, key).status_code == 200:
        assert time.monotonic() < deadline, "the receipt outlives the first use"
        time.sleep(0.1)


def test_a_repeat_has_the_same_bytes_and_says_that_it_is_one(
    service: Service, agent: Agent
) -> None:
    key = new_key()
    first = rotate(service, agent, key)
    assert first.status_code == 200
    assert REPLAYED not in first.headers
    for _ in range(3):
        again = rotate(service, agent, key)
        assert same(first, again) is True
        assert again.headers[REPLAYED] == "true"
    new = after_rotation(agent, first)
    assert service.whoami(new.key).json()["generation"] == 2


def test_a_repeat_has_the_headers_of_the_first_in_their_order(
    service: Service, agent: Agent
) -> None:
    key = new_key()
    first, again = (rotate(service, agent, key) for _ in range(2))
    names = [[name for name, _ in answer.headers.raw] for answer in (first, again)]
    kept = [name for name in names[0] if not name.lower().startswith(b"ratelimit")]
    assert [name for name in names[1] if name.lower() != REPLAYED.encode()] == kept
    for name in ("content-type", "content-length", "cache-control"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_quoted_and_a_bare_idempotency_key_are_one(service: Service, agent: Agent) -> None:
    key = new_key()
    first = rotate(service, agent, f'"{key}"')
    assert same(first, rotate(service, agent, key)) is True
    assert same(first, rotate(service, agent, f'"{key}"')) is True


def test_a_repeat_spends_no_attempt_and_comes_past_a_spent_bucket(
    service: Service, agent: Agent
) -> None:
    key, address = new_key(), ipv4()
    first = rotate(service, agent, key, address=address)
    for _ in range(4):
        assert same(first, rotate(service, agent, key, address=address)) is True
    left = [
        service.rotate(forged("ak"), forged("rs"), address=address).status_code for _ in range(3)
    ]
    assert left == [401, 401, 429]
    assert same(first, rotate(service, agent, key, address=address)) is True


def test_a_repeat_may_come_from_another_address(service: Service, agent: Agent) -> None:
    key = new_key()
    first = rotate(service, agent, key, address=ipv4())
    assert same(first, rotate(service, agent, key, address=ipv4())) is True


def test_the_body_may_be_written_differently(service: Service, agent: Agent) -> None:
    key = new_key()
    first = rotate(service, agent, key)
    body = {"x": 1, "rotationSecret": agent.secret}
    path, headers = "/v1/agents/self/rotate-key", {KEY: key}
    assert same(first, service.post(path, agent.key, json=body, headers=headers)) is True


def test_a_name_that_changed_meanwhile_does_not_change_the_answer(
    service: Service, agent: Agent
) -> None:
    key = new_key()
    first = rotate(service, agent, key)
    path = f"/v1/agents/{agent.id}"
    service.call("PATCH", path, token=service.operator, json={"name": "another"}).raise_for_status()
    assert same(first, rotate(service, agent, key)) is True


def test_the_21st_repeat_within_an_hour_waits(service: Service, agent: Agent) -> None:
    key = new_key()
    first = rotate(service, agent, key)
    assert all(same(first, rotate(service, agent, key)) for _ in range(20))
    refused = rotate(service, agent, key)
    assert_problem(refused, 429, "too_many_replays")
    assert re.fullmatch(r"\d+", refused.headers["retry-after"])
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert service.whoami(after_rotation(agent, first).key).status_code == 200


def test_the_trail_has_one_rotation_and_every_repeat(service: Service, agent: Agent) -> None:
    key = new_key()
    for _ in range(4):
        rotate(service, agent, key)
    actions = [entry["action"] for entry in service.audit(agentId=agent.id)]
    replays = ["credential.rotation_replayed"] * 3
    assert actions == [*replays, "credential.rotated", "agent.registered"]
    [*replayed, rotated, _] = service.audit(agentId=agent.id)
    assert [entry["details"] for entry in (*replayed, rotated)] == [{"generation": 2}] * 4
    assert {entry["outcome"] for entry in replayed} == {"success"}


def test_the_first_use_ends_it_for_ever(service: Service, agent: Agent) -> None:
    key = new_key()
    new = after_rotation(agent, rotate(service, agent, key))
    use(service, agent, new, key)
    for _ in range(5):
        assert_problem(rotate(service, agent, key), 401, "invalid_credentials")
    assert service.whoami(new.key).json()["generation"] == 2


def test_an_idempotency_key_is_for_one_rotation(service: Service, agent: Agent) -> None:
    key = new_key()
    new = after_rotation(agent, rotate(service, agent, key))
    assert_problem(rotate(service, new, key), 422, "idempotency_key_reused")
    assert_problem(rotate(service, new, f'"{key}"'), 422, "idempotency_key_reused")
    newer = after_rotation(new, rotate(service, new, new_key()))
    assert_problem(rotate(service, newer, key), 422, "idempotency_key_reused")
    assert service.whoami(newer.key).json()["generation"] == 3


def test_two_agents_may_have_one_idempotency_key(service: Service) -> None:
    key, one, other = new_key(), service.register(), service.register()
    answers = [rotate(service, each, key) for each in (one, other)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert same(answers[0], rotate(service, one, key)) is True
    assert same(answers[1], rotate(service, other, key)) is True


def test_without_an_idempotency_key_there_is_nothing_to_repeat(
    service: Service, agent: Agent
) -> None:
    rotate(service, agent, None).raise_for_status()
    for key in (None, new_key()):
        assert_problem(rotate(service, agent, key), 401, "invalid_credentials")


@pytest.mark.parametrize("header", [DOCUMENTED, f'"{DOCUMENTED}"'], ids=["bare", "quoted"])
def test_the_documented_idempotency_key_is_refused(
    service: Service, agent: Agent, header: str
) -> None:
    headers = {KEY: header}
    refused = service.rotate(agent.key, agent.secret, headers=headers)
    assert_problem(refused, 400, "invalid_idempotency_key")
    refused = service.post("/v1/auth/agent-register", headers=headers)
    assert_problem(refused, 400, "invalid_idempotency_key")
    assert service.whoami(agent.key).json()["generation"] == 1


def test_reuse_is_in_the_trail_soon(service: Service, agent: Agent) -> None:
    new = after_rotation(agent, rotate(service, agent, new_key()))
    rotate(service, agent, new_key())
    [entry] = eventually(lambda: service.audit(agentId=agent.id, action="credential.reused"))
    shown = entry["details"]
    assert (shown["severity"], shown["credential"], shown["generation"]) == ("info", "pair", 1)
    assert (entry["outcome"], entry["agentId"]) == ("refused", agent.id)
    assert service.whoami(new.key).json()["status"] == "active"
