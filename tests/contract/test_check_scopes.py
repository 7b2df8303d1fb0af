"""Section 6: whose agents a service token sees, and that a dead one sees none."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from keyturn.testing import running_server

from .checks import BY_TOKEN, CHECKS, ask
from .client import Agent, Developer, Service, assert_problem, eventually
from .conftest import service_of
from .test_recovery import new_key, rotate, same

BY_TOKEN_CHECKS = {name: check for name, check in CHECKS.items() if name != "forward-auth"}


@dataclass(frozen=True)
class Neighbours:
    """Two developers, each with an agent and a service token."""

    tokens: tuple[str, str]
    agents: tuple[Agent, Agent]


@pytest.fixture
def neighbours(service: Service) -> Neighbours:
    pair = [service.create_developer() for _ in range(2)]
    one, other = (service.create_token("service", who.token)["token"] for who in pair)
    mine, theirs = (service.create_agent(who.token) for who in pair)
    return Neighbours((one, other), (mine, theirs))


@pytest.mark.parametrize("check", BY_TOKEN_CHECKS)
def test_a_developers_service_sees_that_developers_agents(
    service: Service, neighbours: Neighbours, agent: Agent, check: str
) -> None:
    say = BY_TOKEN_CHECKS[check]
    for number, token in enumerate(neighbours.tokens):
        mine, theirs = neighbours.agents[number], neighbours.agents[1 - number]
        assert say(service, token, mine.key) == "valid"
        assert say(service, token, theirs.key) == "invalid"
        assert say(service, token, agent.key) == "invalid"


@pytest.mark.parametrize("check", BY_TOKEN_CHECKS)
def test_an_operators_service_sees_all(
    service: Service, checker: str, neighbours: Neighbours, agent: Agent, check: str
) -> None:
    say = BY_TOKEN_CHECKS[check]
    keys = [who.key for who in (*neighbours.agents, agent)]
    assert [say(service, checker, key) for key in keys] == ["valid"] * 3


def test_what_is_not_seen_looks_like_what_does_not_exist(
    service: Service, neighbours: Neighbours
) -> None:
    token, theirs = neighbours.tokens[0], neighbours.agents[1]
    answer = service.verify(token, theirs.key, 5)
    assert answer.json() == {"valid": False, "code": "invalid"}
    service.revoke_self(theirs.key, theirs.secret).raise_for_status()
    assert service.verify(token, theirs.key).json() == {"valid": False, "code": "invalid"}
    assert service.introspect(token, theirs.key).json() == {"active": False}
    assert service.balance(theirs) == 100


def test_an_agent_that_enrolled_is_seen_by_its_developer(
    service: Service, developer: Developer
) -> None:
    token = service.create_token("service", developer.token)["token"]
    enrolment = service.create_token("enrolment", developer.token)["token"]
    agent = service.register(enrolmentToken=enrolment)
    assert service.verify(token, agent.key).json()["developerId"] == developer.id


@pytest.mark.parametrize("check", BY_TOKEN_CHECKS)
def test_who_may_not_see_an_agent_does_not_use_its_key(
    service: Service, neighbours: Neighbours, check: str
) -> None:
    old, key = neighbours.agents[0], new_key()
    first = rotate(service, old, key)
    new = first.json()["apiKey"]
    path = f"/v1/agents/{old.id}"
    before = service.get(path, service.operator).json()["lastUsedAt"]
    assert BY_TOKEN_CHECKS[check](service, neighbours.tokens[1], new) == "invalid"
    # A use would be noted before this one, and would end the receipt.
    assert (
        BY_TOKEN_CHECKS[check](service, neighbours.tokens[1], neighbours.agents[1].key) == "valid"
    )
    other = f"/v1/agents/{neighbours.agents[1].id}"
    eventually(lambda: service.get(other, service.operator).json()["lastUsedAt"])
    assert service.get(path, service.operator).json()["lastUsedAt"] == before
    assert same(first, rotate(service, old, key)) is True


@pytest.mark.parametrize("route", BY_TOKEN)
def test_a_deleted_token_is_dead_at_once(service: Service, agent: Agent, route: str) -> None:
    made = service.create_token("service", service.operator)
    assert ask(service, route, made["token"], agent).status_code == 200
    path = f"/v1/service-tokens/{made['id']}"
    service.call("DELETE", path, token=service.operator).raise_for_status()
    assert_problem(ask(service, route, made["token"], agent), 401, "invalid_token")


@pytest.mark.parametrize("route", BY_TOKEN)
def test_a_disabled_developers_token_is_dead_at_once(
    service: Service, developer: Developer, owned: Agent, route: str
) -> None:
    token = service.create_token("service", developer.token)["token"]
    assert ask(service, route, token, owned).status_code == 200
    path = f"/v1/developers/{developer.id}/disable"
    service.post(path, service.operator).raise_for_status()
    assert_problem(ask(service, route, token, owned), 401, "invalid_token")


def test_a_token_of_the_command_line_sees_all_and_dies_like_others() -> None:
    with running_server() as server:
        service = service_of(server, proxied=False)
        made = server.run("service", "create", "--name", "gateway", "--json")
        assert made.returncode == 0, made.stderr
        token = json.loads(made.stdout)["token"]
        agents = [service.register(), service.create_agent(service.create_developer().token)]
        for say in BY_TOKEN_CHECKS.values():
            assert [say(service, token, who.key) for who in agents] == ["valid"] * 2
        [listed] = service.listed("/v1/service-tokens", service.operator)
        path = f"/v1/service-tokens/{listed['id']}"
        service.call("DELETE", path, token=service.operator).raise_for_status()
        for route in BY_TOKEN:
            assert_problem(ask(service, route, token, agents[0]), 401, "invalid_token")


Use = Callable[[Service, str, str], str]


@pytest.mark.parametrize("check", BY_TOKEN_CHECKS)
def test_a_service_tokens_last_use_is_listed(
    service: Service, developer: Developer, owned: Agent, check: str
) -> None:
    made = service.create_token("service", developer.token)
    [listed] = service.listed("/v1/service-tokens", developer.token)
    assert listed["lastUsedAt"] is None
    use: Use = BY_TOKEN_CHECKS[check]
    use(service, made["token"], owned.key)

    def used() -> object:
        [listed] = service.listed("/v1/service-tokens", developer.token)
        return listed["lastUsedAt"]

    eventually(used)
