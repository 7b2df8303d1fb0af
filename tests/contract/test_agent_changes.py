"""Section 5: changing an agent's settings and credits."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .client import Agent, Developer, Service, assert_names_member, assert_problem


def _patch(service: Service, developer: Developer, agent: Agent, body: object) -> httpx.Response:
    return service.call("PATCH", f"/v1/agents/{agent.id}", token=developer.token, json=body)


CHANGES = [
    ("name", "renamed", "agentName"),
    ("metadata", {"team": "research", "nested": {"list": [1, "ü", None, True]}}, "metadata"),
    ("metadata", {}, "metadata"),
    ("onReuse", "quarantine", "onReuse"),
    ("onReuse", "revoke", "onReuse"),
    ("onReuse", "alert", "onReuse"),
    ("rotationPeriodDays", 30, "rotationPeriodDays"),
    ("rotationPeriodDays", 1, "rotationPeriodDays"),
]


@pytest.mark.parametrize(("member", "value", "shown"), CHANGES)
def test_a_member_is_changed_and_nothing_else(
    service: Service,
    developer: Developer,
    owned: Agent,
    member: str,
    value: object,
    shown: str,
) -> None:
    before = service.inspect(owned.id)
    answer = _patch(service, developer, owned, {member: value})
    assert (answer.status_code, answer.json()[shown]) == (200, value)
    after = service.inspect(owned.id)
    derived = {"rotationDueAt"} if member == "rotationPeriodDays" else set()
    assert {**before, shown: value} == {**after, **{name: before[name] for name in derived}}
    seen = answer.json()
    for hidden in ("lastUsedAt", "lastUsedAddress"):
        seen.pop(hidden)
    assert seen == after


def test_several_members_are_changed_together(
    service: Service, developer: Developer, owned: Agent
) -> None:
    body = {"name": "both", "rotationPeriodDays": 3}
    seen = _patch(service, developer, owned, body).json()
    assert (seen["agentName"], seen["rotationPeriodDays"]) == ("both", 3)


def test_the_due_date_follows_the_period(
    service: Service, developer: Developer, owned: Agent
) -> None:
    _patch(service, developer, owned, {"rotationPeriodDays": 30})
    seen = service.whoami(owned.key).json()
    made, due = (
        dt.datetime.fromisoformat(seen[name]) for name in ("keyCreatedAt", "rotationDueAt")
    )
    assert due - made == dt.timedelta(days=30)


BAD = [
    ("rotationPeriodDays", 0), ("rotationPeriodDays", -7), ("rotationPeriodDays", 1.5),
    ("rotationPeriodDays", "7"), ("rotationPeriodDays", True), ("rotationPeriodDays", 10**9),
    ("rotationPeriodDays", 10**400), ("rotationPeriodDays", [7]),
    ("onReuse", "explode"), ("onReuse", ""), ("onReuse", 1), ("onReuse", ["alert"]),
    ("onReuse", "ALERT"),
    ("metadata", "text"), ("metadata", 5), ("metadata", []), ("metadata", True),
    ("name", ""), ("name", 5), ("name", "x" * 101),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), BAD)
def test_a_bad_value_changes_nothing(
    service: Service, developer: Developer, owned: Agent, member: str, value: object
) -> None:
    before = service.inspect(owned.id)
    body = {"metadata": {"also": "this"}, "rotationPeriodDays": 9, member: value}
    assert_names_member(_patch(service, developer, owned, body), member)
    assert service.inspect(owned.id) == before


@pytest.mark.parametrize("body", [None, [], 5, "text", True])
def test_a_change_is_an_object(
    service: Service, developer: Developer, owned: Agent, body: object
) -> None:
    before = service.inspect(owned.id)
    assert_problem(_patch(service, developer, owned, body), 400, "invalid_request")
    assert service.inspect(owned.id) == before


def test_what_is_not_to_be_changed_is_ignored(
    service: Service, developer: Developer, owned: Agent
) -> None:
    before = service.inspect(owned.id)
    body = {**before, "status": "revoked", "generation": 9, "creditBalance": 1, "agentName": "x"}
    body.update(createdAt="2000-01-01T00:00:00.000Z", agentId="x", developerId="x")
    assert _patch(service, developer, owned, body).status_code == 200
    assert service.inspect(owned.id) == before


def _credits(service: Service, agent: Agent, amount: object) -> httpx.Response:
    body = {"amount": amount, "reason": "test"}
    return service.post(f"/v1/agents/{agent.id}/credits", service.operator, json=body)


def test_an_operator_gives_and_takes_credits(service: Service, owned: Agent) -> None:
    for amount, balance in ((50, 150), (-150, 0), (7, 7)):
        answer = _credits(service, owned, amount)
        assert answer.status_code == 200
        assert answer.json() == {"agentId": owned.id, "creditBalance": balance}
        assert service.whoami(owned.key).json()["creditBalance"] == balance


def test_credits_never_fall_below_zero(service: Service, owned: Agent) -> None:
    assert_problem(_credits(service, owned, -101), 409, "insufficient_credits")
    assert service.whoami(owned.key).json()["creditBalance"] == 100


def test_simultaneous_takers_take_no_more_than_there_is(service: Service, owned: Agent) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: _credits(service, owned, -10), range(14)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [409] * 4
    assert service.whoami(owned.key).json()["creditBalance"] == 0


def test_a_developer_gives_no_credits_not_even_to_their_own(
    service: Service, developer: Developer, owned: Agent
) -> None:
    body = {"amount": 1, "reason": "test"}
    answer = service.post(f"/v1/agents/{owned.id}/credits", developer.token, json=body)
    assert_problem(answer, 403, "operator_only")
    assert service.whoami(owned.key).json()["creditBalance"] == 100


@pytest.mark.parametrize("amount", ["5", 1.5, None, True, [1], {}, 10**400, -(10**400), 2**63])
def test_an_amount_is_a_whole_number(service: Service, owned: Agent, amount: object) -> None:
    assert_names_member(_credits(service, owned, amount), "amount")
    assert service.whoami(owned.key).json()["creditBalance"] == 100


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"01"])
def test_a_number_that_json_or_we_do_not_know(service: Service, owned: Agent, text: bytes) -> None:
    body = b'{"reason": "test", "amount": ' + text + b"}"
    answer = service.post(f"/v1/agents/{owned.id}/credits", service.operator, content=body)
    assert_problem(answer, 400, "invalid_request")
    assert service.whoami(owned.key).json()["creditBalance"] == 100


def test_an_amount_is_required(service: Service, owned: Agent) -> None:
    path = f"/v1/agents/{owned.id}/credits"
    answer = service.post(path, service.operator, json={"reason": "test"})
    assert_names_member(answer, "amount")


def test_a_balance_has_a_top_and_does_not_wrap(service: Service, owned: Agent) -> None:
    balance = 100
    for amount in (2**62, 2**62, 2**62, 2**53, 2**53):
        answer = _credits(service, owned, amount)
        assert answer.status_code in {200, 400, 409}
        balance += amount if answer.status_code == 200 else 0
        assert service.whoami(owned.key).json()["creditBalance"] == balance


@pytest.mark.parametrize("reason", [5, [], {}, True])
@pytest.mark.parametrize("call", ["credits", "revoke"])
def test_a_reason_is_text(service: Service, owned: Agent, call: str, reason: object) -> None:
    body = {"amount": 1, "reason": reason}
    answer = service.post(f"/v1/agents/{owned.id}/{call}", service.operator, json=body)
    assert_names_member(answer, "reason")
    seen = service.inspect(owned.id)
    assert (seen["creditBalance"], seen["status"]) == (100, "active")
