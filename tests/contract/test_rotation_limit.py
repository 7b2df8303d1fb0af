"""Section 3, row 4: three attempts from an address in 15 minutes."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keyturn.testing import running_server

from .client import Agent, Developer, Service, after_rotation, assert_problem, forged, ipv4
from .conftest import PROXIES, service_of

POLICY = '"rotation";q=3;w=900'


def _limit(answer: httpx.Response) -> tuple[int, int]:
    """How many attempts are left, and when the oldest leaves."""
    found = re.fullmatch(r'"rotation";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found
    return int(found[1]), int(found[2])


def _attempt(service: Service, address: str) -> httpx.Response:
    return service.rotate(forged("ak"), forged("rs"), address=address)


def test_three_attempts_pass_and_the_fourth_is_429(service: Service, agent: Agent) -> None:
    address = ipv4()
    for left in (2, 1, 0):
        answer = service.rotate(agent.key, agent.secret, address=address)
        agent = after_rotation(agent, answer)
        assert answer.headers["ratelimit-policy"] == POLICY
        assert _limit(answer)[0] == left
        assert 0 < _limit(answer)[1] <= 900
        assert "retry-after" not in answer.headers
    refused = service.rotate(agent.key, agent.secret, address=address)
    assert_problem(refused, 429, "too_many_rotation_attempts")
    assert refused.headers["ratelimit-policy"] == POLICY
    assert _limit(refused)[0] == 0
    assert re.fullmatch(r"\d+", refused.headers["retry-after"])
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert service.whoami(agent.key).json()["generation"] == 4


def test_what_is_said_of_the_wait_does_not_grow(service: Service) -> None:
    address = ipv4()
    waits = [_limit(_attempt(service, address))[1] for _ in range(6)]
    assert waits == sorted(waits, reverse=True)


@pytest.mark.parametrize("case", ["unknown key", "revoked", "none configured", "wrong secret"])
def test_every_later_row_is_an_attempt(service: Service, developer: Developer, case: str) -> None:
    agent = service.create_agent(developer.token, secret=case != "none configured")
    if case == "revoked":
        service.post(f"/v1/agents/{agent.id}/revoke", developer.token, json={"reason": "test"})
    key = forged("ak") if case == "unknown key" else agent.key
    address = ipv4()
    for left in (2, 1, 0):
        answer = service.rotate(key, forged("rs"), address=address)
        assert answer.status_code in {401, 403}
        assert (answer.headers["ratelimit-policy"], _limit(answer)[0]) == (POLICY, left)
    assert service.rotate(key, forged("rs"), address=address).status_code == 429


def test_a_bad_checksum_is_an_attempt_too(service: Service) -> None:
    address = ipv4()
    lefts = [_limit(service.rotate("x", "x", address=address))[0] for _ in range(3)]
    assert lefts == [2, 1, 0]


def test_earlier_rows_are_no_attempts(service: Service, agent: Agent) -> None:
    address, path = ipv4(), "/v1/agents/self/rotate-key"
    body = {"rotationSecret": agent.secret}
    for _ in range(4):
        service.call("PUT", path, token=agent.key, json=body, address=address)
        service.post(path, json=body, address=address)
        service.post(path, agent.key, json={}, address=address)
        service.post(path, agent.key, content=b'{"x":1,"x":1}', address=address)
        service.post(path + "?access_token=x", agent.key, json=body, address=address)
        idempotency = {"Idempotency-Key": "short"}
        service.post(path, agent.key, json=body, headers=idempotency, address=address)
    assert _limit(service.rotate(agent.key, agent.secret, address=address))[0] == 2


def test_other_routes_spend_nothing_and_are_not_refused(service: Service) -> None:
    address, agent = ipv4(), service.register()
    for _ in range(5):
        service.get("/v1/agents/self", agent.key, address=address)
        service.post(
            f"/v1/agents/{agent.id}/rotate-key", service.operator, address=address
        ).raise_for_status()
    key = service.post(
        f"/v1/agents/{agent.id}/rotate-key", service.operator, address=address
    ).json()["apiKey"]
    assert [_limit(_attempt(service, address))[0] for _ in range(3)] == [2, 1, 0]
    assert _attempt(service, address).status_code == 429
    assert service.get("/v1/agents/self", key, address=address).status_code == 200
    assert service.post("/v1/auth/agent-register", address=address).status_code == 201
    revoked = service.revoke_self(key, forged("rs"), address=address)
    assert_problem(revoked, 401, "invalid_credentials")
    developers = f"/v1/agents/{agent.id}/rotate-key"
    assert service.post(developers, service.operator, address=address).status_code == 200


def test_one_agent_may_attempt_from_several_addresses(service: Service, agent: Agent) -> None:
    for _ in range(5):
        answer = service.rotate(agent.key, agent.secret, address=ipv4())
        agent = after_rotation(agent, answer)
        assert _limit(answer)[0] == 2


def test_of_simultaneous_attempts_three_pass(service: Service) -> None:
    address = ipv4()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: _attempt(service, address), range(12)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 3 + [429] * 9
    passed = sorted(_limit(answer)[0] for answer in answers if answer.status_code == 401)
    assert passed == [0, 1, 2]


@pytest.fixture(scope="module")
def brief() -> Iterator[Service]:
    """A service with a window of four seconds, for two attempts."""
    settings = {"rotation_window": 4, "rotation_limit": 2}
    with running_server(trusted_proxies=PROXIES, **settings) as server:
        yield service_of(server)


def _first_that_passes(service: Service, address: str) -> httpx.Response:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = _attempt(service, address)
        if answer.status_code != 429:
            return answer
        time.sleep(0.02)
    raise AssertionError("waiting did not help")


def test_the_settings_are_in_the_policy_and_the_refusal(brief: Service) -> None:
    address = ipv4()
    answers = [_attempt(brief, address) for _ in range(3)]
    assert {a.headers["ratelimit-policy"] for a in answers} == {'"rotation";q=2;w=4'}
    assert [_limit(answer)[0] for answer in answers] == [1, 0, 0]
    assert_problem(answers[2], 429, "too_many_rotation_attempts")
    assert 0 < int(answers[2].headers["retry-after"]) <= 4


def test_the_window_slides_and_refusals_do_not_lengthen_it(brief: Service) -> None:
    address, clock = ipv4(), ipv4()
    _attempt(brief, address)
    # Another bucket is the clock: when its first attempt is half gone, the second one is made here.
    while _limit(_attempt(brief, clock))[1] > 2:
        time.sleep(0.02)
    assert _limit(_attempt(brief, address))[0] == 0
    assert _limit(_first_that_passes(brief, address))[0] == 0
    assert _attempt(brief, address).status_code == 429
    assert _limit(_first_that_passes(brief, address))[0] == 0
