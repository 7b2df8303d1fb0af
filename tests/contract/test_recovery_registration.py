"""Section 4: a registration whose answer was lost is repeated, and makes no second agent."""

import time
from typing import Any

import httpx
import pytest

from .client import Service, assert_problem, ipv4, ipv6, unique
from .test_recovery import DEADLINE, KEY, REPLAYED, new_key, same

REGISTER = "/v1/auth/agent-register"


def register(
    service: Service, key: str | None, address: str, body: object = None
) -> httpx.Response:
    headers = {} if key is None else {KEY: key}
    content: dict[str, Any] = {} if body is None else {"json": body}
    return service.post(REGISTER, headers=headers, address=address, **content)


def test_a_repeat_has_the_same_bytes_and_makes_no_agent(service: Service) -> None:
    key, address, body = new_key(), ipv4(), {"name": unique("lost")}
    first = register(service, key, address, body)
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    for shown in (key, f'"{key}"', key):
        again = register(service, shown, address, body)
        assert same(first, again) is True
        assert again.headers[REPLAYED] == "true"
    found = service.listed("/v1/agents", service.operator, q=body["name"])
    assert [agent["agentId"] for agent in found] == [first.json()["agentId"]]


def test_a_repeat_has_the_headers_of_the_first_in_their_order(service: Service) -> None:
    key, address = new_key(), ipv4()
    answers = [register(service, key, address) for _ in range(2)]
    names = [[name.lower() for name, _ in answer.headers.raw] for answer in answers]
    kept = [name for name in names[0] if not name.startswith(b"ratelimit")]
    assert [name for name in names[1] if name != REPLAYED.encode()] == kept


OTHERS: dict[str, dict[str, Any]] = {
    "another name": {"body": {"name": "another"}},
    "no name": {"body": {}},
    "another idempotency key": {"key": "another-key-of-36-characters-in-all"},
    "no idempotency key": {"key": None},
    "another address": {"address": "203.0.113.77"},
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_request_makes_another_agent(service: Service, other: str) -> None:
    request: dict[str, Any] = {"key": new_key(), "address": ipv4(), "body": {"name": "mine"}}
    first = register(service, **request)
    second = register(service, **{**request, **OTHERS[other]})
    assert (second.status_code, REPLAYED in second.headers) == (201, False)
    assert second.json()["agentId"] != first.json()["agentId"]
    assert same(first, register(service, **request)) is True


def test_addresses_of_one_network_are_the_same(service: Service) -> None:
    key, address = new_key(), ipv6()
    first = register(service, key, address)
    assert same(first, register(service, key, address + "2")) is True


def test_after_the_first_use_the_same_request_makes_another_agent(service: Service) -> None:
    key, address = new_key(), ipv4()
    first = register(service, key, address)
    service.whoami(first.json()["apiKey"]).raise_for_status()
    deadline = time.monotonic() + DEADLINE
    while REPLAYED in (again := register(service, key, address)).headers:
        assert time.monotonic() < deadline, "the receipt outlives the first use"
        time.sleep(0.1)
    assert again.status_code == 201
    assert again.json()["agentId"] != first.json()["agentId"]
    assert service.whoami(first.json()["apiKey"]).status_code == 200


def test_a_rotation_ends_it_at_once(service: Service) -> None:
    key, address = new_key(), ipv4()
    first = register(service, key, address).json()
    service.rotate(first["apiKey"], first["rotationSecret"]).raise_for_status()
    again = register(service, key, address)
    assert again.json()["agentId"] != first["agentId"]


def test_the_21st_repeat_within_an_hour_waits(service: Service) -> None:
    key, address = new_key(), ipv4()
    first = register(service, key, address)
    assert all(same(first, register(service, key, address)) for _ in range(20))
    refused = register(service, key, address)
    assert_problem(refused, 429, "too_many_replays")
    assert refused.headers["retry-after"].isdigit()


def test_a_token_that_is_good_once_is_spent_once(service: Service) -> None:
    made = service.create_token("enrolment", service.operator)
    key, address = new_key(), ipv4()
    body = {"name": "mine", "enrolmentToken": made["token"]}
    first = register(service, key, address, body)
    assert first.status_code == 201
    assert same(first, register(service, key, address, body)) is True
    assert_problem(register(service, new_key(), address, body), 401, "invalid_enrolment_token")


@pytest.mark.parametrize("key", ["", "short", "k" * 21, "k" * 256, "with a space in the middle"])
def test_an_idempotency_key_has_22_to_255_visible_characters(service: Service, key: str) -> None:
    assert_problem(register(service, key, ipv4()), 400, "invalid_idempotency_key")
