"""Section 6: a verification may cost credits, atomically, never below 0, and once if asked so."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .checks import VERIFY
from .client import (
    ANOTHER_CONNECTION,
    Agent,
    Service,
    assert_names_member,
    assert_problem,
    forged,
)
from .test_recovery import DOCUMENTED, KEY, new_key

INSUFFICIENT = {"valid": False, "code": "insufficient_credits"}


def _left(answer: httpx.Response) -> int:
    """The balance that a valid answer tells."""
    said = answer.raise_for_status().json()
    assert said["valid"] is True
    balance: int = said["creditBalance"]
    return balance


def _once(service: Service, checker: str, agent: Agent, cost: int, key: str) -> httpx.Response:
    """A verification that is to be paid once for each idempotency key."""
    return service.verify(checker, agent.key, cost, headers={KEY: key})


def test_a_cost_is_taken_and_the_balance_told(service: Service, checker: str, agent: Agent) -> None:
    assert [_left(service.verify(checker, agent.key, cost)) for cost in (1, 0, 9, 90)] == [
        99, 99, 90, 0,
    ]  # fmt: skip
    assert service.balance(agent) == 0


def test_without_a_cost_nothing_is_taken(service: Service, checker: str, agent: Agent) -> None:
    assert _left(service.verify(checker, agent.key)) == 100
    assert service.balance(agent) == 100


def test_a_cost_that_is_more_than_the_balance_takes_nothing(
    service: Service, checker: str, agent: Agent
) -> None:
    for cost in (101, 1000, 2**31, 2**53, 2**63 - 1):
        answer = service.verify(checker, agent.key, cost)
        assert (answer.status_code, answer.json()) == (200, INSUFFICIENT)
    assert service.balance(agent) == 100
    assert _left(service.verify(checker, agent.key, 100)) == 0
    assert service.verify(checker, agent.key, 1).json() == INSUFFICIENT
    assert _left(service.verify(checker, agent.key, 0)) == 0


@pytest.mark.parametrize("text", [b"9" * 31, b"1" + b"0" * 30, b"9223372036854775808"])
def test_a_cost_of_any_length_is_more_than_anybody_has(
    service: Service, checker: str, agent: Agent, text: bytes
) -> None:
    body = b'{"key": "%b", "cost": %b}' % (agent.key.encode(), text)
    answer = service.post(VERIFY, checker, content=body)
    if answer.status_code == 200:
        assert answer.json() == INSUFFICIENT
    else:
        assert_names_member(answer, "cost")
    assert service.balance(agent) == 100


COSTS = ["-1", "-9223372036854775809", "1.5", "0.1", '"1"', '""', "true", "false", "[1]", "{}"]


@pytest.mark.parametrize("text", COSTS)
def test_a_cost_is_a_whole_number_from_0(
    service: Service, checker: str, agent: Agent, text: str
) -> None:
    for key in (agent.key, forged("ak"), "x"):
        body = f'{{"key": "{key}", "cost": {text}}}'.encode()
        assert_names_member(service.post(VERIFY, checker, content=body), "cost")
    assert service.balance(agent) == 100


@pytest.mark.parametrize("text", ["null", "5.0", "5e0"])
def test_a_cost_that_nearly_is_one_is_refused_or_means_what_it_says(
    service: Service, checker: str, agent: Agent, text: str
) -> None:
    body = f'{{"key": "{agent.key}", "cost": {text}}}'.encode()
    answer = service.post(VERIFY, checker, content=body)
    if answer.status_code == 200:
        assert _left(answer) == {"null": 100}.get(text, 95)
    else:
        assert_names_member(answer, "cost")
        assert service.balance(agent) == 100


def test_a_refused_key_pays_nothing(service: Service, checker: str, agent: Agent) -> None:
    service.rotate(agent.key, agent.secret).raise_for_status()
    for key in (agent.key, forged("ak"), "x"):
        assert service.verify(checker, key, 5).json() == {"valid": False, "code": "invalid"}
    assert service.balance(agent) == 100


def test_of_simultaneous_costs_as_many_pass_as_are_covered(
    service: Service, checker: str, agent: Agent
) -> None:
    def pay(_: int) -> str:
        answer = service.verify(checker, agent.key, 9, headers=ANOTHER_CONNECTION)
        return str(answer.raise_for_status().json().get("code", "paid"))

    with ThreadPoolExecutor(20) as pool:
        counted = Counter(pool.map(pay, range(20)))
    assert counted == {"paid": 11, "insufficient_credits": 9}
    assert service.balance(agent) == 1


def test_a_repeat_with_its_idempotency_key_takes_nothing(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    assert _left(_once(service, checker, agent, 30, key)) == 70
    for _ in range(3):
        again = _once(service, checker, agent, 30, key).raise_for_status().json()
        assert (again["valid"], again["agentId"]) == (True, agent.id)
    assert service.balance(agent) == 70
    assert _left(_once(service, checker, agent, 30, new_key())) == 40
    assert _left(service.verify(checker, agent.key, 30)) == 10


def test_a_repeat_is_good_although_the_balance_would_not_cover_it_again(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    assert _left(_once(service, checker, agent, 100, key)) == 0
    assert _once(service, checker, agent, 100, key).json()["valid"] is True
    assert service.balance(agent) == 0


def test_simultaneous_repeats_take_it_once(service: Service, checker: str, agent: Agent) -> None:
    key = new_key()

    def pay(_: int) -> tuple[int, object]:
        headers = {**ANOTHER_CONNECTION, KEY: key}
        answer = service.verify(checker, agent.key, 7, headers=headers)
        return answer.status_code, answer.json().get("valid")

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(pay, range(12))) == {(200, True)}
    assert service.balance(agent) == 93


def test_a_quoted_and_a_bare_idempotency_key_are_one(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    for header in (key, f'"{key}"', key):
        _once(service, checker, agent, 5, header).raise_for_status()
    assert service.balance(agent) == 95


def test_an_idempotency_key_is_for_one_agent_and_one_cost(
    service: Service, checker: str, agent: Agent
) -> None:
    key, other = new_key(), service.register()
    _once(service, checker, agent, 5, key).raise_for_status()
    for who, cost in ((agent, 6), (agent, 4), (other, 5), (other, 6)):
        answer = _once(service, checker, who, cost, key)
        assert_problem(answer, 422, "idempotency_key_reused")
    assert (service.balance(agent), service.balance(other)) == (95, 100)
    assert _once(service, checker, agent, 5, key).json()["valid"] is True


def test_another_service_token_has_idempotency_keys_of_its_own(
    service: Service, checker: str, agent: Agent
) -> None:
    key, other = new_key(), service.create_token("service", service.operator)["token"]
    for token in (checker, other, checker, other):
        _once(service, token, agent, 5, key).raise_for_status()
    assert service.balance(agent) == 90


def test_the_key_of_a_rotation_may_be_that_of_a_verification(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    _once(service, checker, agent, 5, key).raise_for_status()
    rotated = service.rotate(agent.key, agent.secret, headers={KEY: key})
    assert rotated.status_code == 200
    current = Agent(agent.id, agent.name, rotated.json()["apiKey"], "")
    assert _once(service, checker, current, 5, key).json()["valid"] is True
    assert service.balance(agent) == 95


def test_a_repeat_does_not_vouch_for_a_key_that_died_meanwhile(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    _once(service, checker, agent, 5, key).raise_for_status()
    service.rotate(agent.key, agent.secret).raise_for_status()
    assert _once(service, checker, agent, 5, key).json() == {"valid": False, "code": "invalid"}
    service.post(f"/v1/agents/{agent.id}/revoke", service.operator, json={"reason": "x"})
    assert _once(service, checker, agent, 5, key).json() == {"valid": False, "code": "invalid"}


def test_what_was_not_covered_is_paid_once_when_it_is(
    service: Service, checker: str, agent: Agent
) -> None:
    key = new_key()
    assert _once(service, checker, agent, 150, key).json() == INSUFFICIENT
    assert service.balance(agent) == 100
    service.change_credits(agent, 100)
    for _ in range(3):
        _once(service, checker, agent, 150, key).raise_for_status()
    assert service.balance(agent) in {50, 200}


MALFORMED = [
    "",
    "x",
    "k" * 21,
    "k" * 256,
    "has a space in it, twice",
    '"half quoted in all',
    "é" * 30,
]


@pytest.mark.parametrize("header", [*MALFORMED, DOCUMENTED, f'"{DOCUMENTED}"'])
def test_a_malformed_or_documented_idempotency_key_is_refused(
    service: Service, checker: str, agent: Agent, header: str
) -> None:
    headers = [(KEY, header.encode())]
    for cost in (None, 0, 5):
        answer = service.verify(checker, agent.key, cost, headers=headers)
        assert_problem(answer, 400, "invalid_idempotency_key")
    assert service.balance(agent) == 100


def test_two_idempotency_keys_are_refused(service: Service, checker: str, agent: Agent) -> None:
    for headers in ([(KEY, new_key())] * 2, [(KEY, new_key()), (KEY, new_key())]):
        answer = service.verify(checker, agent.key, 5, headers=headers)
        assert answer.status_code == 400
    assert service.balance(agent) == 100
