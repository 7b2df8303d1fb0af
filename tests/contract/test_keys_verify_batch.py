"""Section 6: many keys at once, answered in order."""

import httpx
import pytest

from .checks import BATCH, verdict
from .client import (
    Agent,
    Service,
    after_rotation,
    assert_names_member,
    assert_problem,
    forged,
)
from .test_recovery import DOCUMENTED, KEY, new_key


def _items(answer: httpx.Response) -> list[dict[str, object]]:
    """The answers, one for each key."""
    page = answer.raise_for_status().json()
    assert list(page) == ["items", "nextCursor"]
    assert page["nextCursor"] is None
    items: list[dict[str, object]] = page["items"]
    return items


def test_each_answer_is_that_of_a_single_verification(
    service: Service, checker: str, agent: Agent
) -> None:
    revoked, retired = service.register(), service.register()
    service.revoke_self(revoked.key, revoked.secret).raise_for_status()
    service.rotate(retired.key, retired.secret).raise_for_status()
    keys = [agent.key, forged("ak"), revoked.key, "x", retired.key, agent.secret, agent.key]
    answer = service.verify_batch(checker, *keys)
    words = ["valid", "invalid", "revoked", "invalid", "invalid", "invalid", "valid"]
    assert [verdict(item) for item in _items(answer)] == words
    singles = [service.verify(checker, key).json() for key in keys]
    assert [list(item.items()) for item in _items(answer)] == [
        list(single.items()) for single in singles
    ]


def test_a_hundred_keys_are_answered_in_order(service: Service, checker: str) -> None:
    agents = [service.register() for _ in range(5)]
    asked = [agents[number % 5] if number % 3 else None for number in range(100)]
    keys = [{"key": who.key if who else "x", "cost": 1 if who else 0} for who in asked]
    items = _items(service.verify_batch(checker, *keys))
    assert [item.get("agentId") for item in items] == [who.id if who else None for who in asked]
    paid = {who.id: sum(asked_of is who for asked_of in asked) for who in agents}
    assert {who.id: 100 - service.balance(who) for who in agents} == paid


def test_a_hundred_whole_keys_fit(service: Service, checker: str, agent: Agent) -> None:
    items = _items(service.verify_batch(checker, *[agent.key] * 100))
    assert {item["agentId"] for item in items} == {agent.id}
    keys = [{"key": agent.key, "cost": 1}] * 100
    items = _items(service.verify_batch(checker, *keys))
    assert [item["creditBalance"] for item in items] == list(range(99, -1, -1))


@pytest.mark.parametrize("count", [101, 150, 500])
def test_more_than_a_hundred_are_refused(service: Service, checker: str, count: int) -> None:
    assert_names_member(service.verify_batch(checker, *["x"] * count), "keys")


def test_none_are_answered_with_none(service: Service, checker: str) -> None:
    assert _items(service.verify_batch(checker)) == []


def test_costs_are_taken_in_order(service: Service, checker: str, agent: Agent) -> None:
    costs = [60, 50, 30, 20, 10, 1, 0]
    keys = [{"key": agent.key, "cost": cost} for cost in costs]
    items = _items(service.verify_batch(checker, *keys))
    refused = "insufficient_credits"
    words = ["valid", refused, "valid", refused, "valid", refused, "valid"]
    assert [verdict(item) for item in items] == words
    assert [item.get("creditBalance") for item in items] == [40, None, 10, None, 0, None, 0]
    assert service.balance(agent) == 0


def test_costs_of_several_agents_do_not_mix(service: Service, checker: str, agent: Agent) -> None:
    other = service.register()
    keys = [{"key": who.key, "cost": 40} for who in (agent, other) * 3]
    items = _items(service.verify_batch(checker, *keys))
    assert [verdict(item) for item in items] == ["valid"] * 4 + ["insufficient_credits"] * 2
    assert (service.balance(agent), service.balance(other)) == (20, 20)


BAD_ITEMS: dict[str, tuple[object, str]] = {
    "no key": ({"cost": 1}, "key"),
    "a null key": ({"key": None}, "key"),
    "a number for a key": ({"key": 5}, "key"),
    "a negative cost": ({"key": "x", "cost": -1}, "cost"),
    "half a credit": ({"key": "x", "cost": 1.5}, "cost"),
    "a cost in words": ({"key": "x", "cost": "1"}, "cost"),
    "true for a cost": ({"key": "x", "cost": True}, "cost"),
    "a number": (5, "keys"),
    "null": (None, "keys"),
    "a list": ([], "keys"),
}


@pytest.mark.parametrize("case", BAD_ITEMS)
def test_one_malformed_item_refuses_all_and_takes_nothing(
    service: Service, checker: str, agent: Agent, case: str
) -> None:
    item, member = BAD_ITEMS[case]
    good = {"key": agent.key, "cost": 5}
    assert_names_member(service.verify_batch(checker, good, item, good), member)
    assert_names_member(service.verify_batch(checker, good, good, item), member)
    assert service.balance(agent) == 100


def test_a_key_without_an_object_is_no_item(service: Service, checker: str, agent: Agent) -> None:
    body = {"keys": [agent.key]}
    assert_names_member(service.post(BATCH, checker, json=body), "keys")


@pytest.mark.parametrize("keys", [None, {}, "x", 5, True])
def test_keys_are_a_list(service: Service, checker: str, keys: object) -> None:
    assert_names_member(service.post(BATCH, checker, json={"keys": keys}), "keys")
    assert_names_member(service.post(BATCH, checker, json={"x": []}), "keys")


def test_a_duplicate_member_inside_an_item_is_refused(
    service: Service, checker: str, agent: Agent
) -> None:
    body = b'{"keys": [{"key": "%b", "cost": 0, "cost": 1}]}' % agent.key.encode()
    assert_problem(service.post(BATCH, checker, content=body), 400, "invalid_request")
    assert service.balance(agent) == 100


def test_a_rotated_pair_side_by_side(service: Service, checker: str, agent: Agent) -> None:
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    items = _items(service.verify_batch(checker, agent.key, new.key, agent.key))
    assert [verdict(item) for item in items] == ["invalid", "valid", "invalid"]


def test_a_repeated_batch_with_its_idempotency_key_takes_nothing(
    service: Service, checker: str, agent: Agent
) -> None:
    headers = {KEY: new_key()}
    keys = [{"key": agent.key, "cost": 20}, {"key": agent.key, "cost": 30}, {"key": "x"}]
    for _ in range(3):
        items = _items(service.verify_batch(checker, *keys, headers=headers))
        assert [verdict(item) for item in items] == ["valid", "valid", "invalid"]
    assert service.balance(agent) == 50


def test_a_batch_with_a_malformed_idempotency_key_is_refused(
    service: Service, checker: str, agent: Agent
) -> None:
    for header in ("x", DOCUMENTED):
        keys = [{"key": agent.key, "cost": 20}]
        answer = service.verify_batch(checker, *keys, headers={KEY: header})
        assert_problem(answer, 400, "invalid_idempotency_key")
    assert service.balance(agent) == 100
