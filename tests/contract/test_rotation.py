"""Section 3: a rotation that succeeds, and what it leaves behind."""

import json
from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server

from .client import (
    INVALID_CREDENTIALS,
    TIME,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_problem,
    forged,
)
from .conftest import PROXIES, service_of

MESSAGE = (
    "API key and rotation secret rotated successfully. Save both — they will not be shown again."
)
MEMBERS = ["message", "apiKey", "rotationSecret", "agentId", "agentName"]


def test_the_answer_has_exactly_the_members_in_their_order(service: Service, agent: Agent) -> None:
    answer = service.rotate(agent.key, agent.secret)
    pairs = json.loads(answer.content, object_pairs_hook=list)
    assert (answer.status_code, [name for name, _ in pairs]) == (200, MEMBERS)
    made = dict(pairs)
    assert (made["message"], made["agentId"], made["agentName"]) == (MESSAGE, agent.id, agent.name)
    kinds = made["apiKey"][:11], made["rotationSecret"][:11]
    assert kinds == ("sk_live_ak_", "sk_live_rs_")


def test_the_message_is_written_in_utf_8(service: Service, agent: Agent) -> None:
    assert MESSAGE.encode() in service.rotate(agent.key, agent.secret).content


def test_a_developers_rotation_answers_alike(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token)
    answer = service.post(f"/v1/agents/{agent.id}/rotate-key", developer.token)
    pairs = json.loads(answer.content, object_pairs_hook=list)
    assert (answer.status_code, [name for name, _ in pairs]) == (200, MEMBERS)
    assert dict(pairs)["message"] == MESSAGE


def test_the_new_pair_works_at_once_and_rotates_again(service: Service, agent: Agent) -> None:
    for generation in range(2, 6):
        agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
        assert service.whoami(agent.key).json()["generation"] == generation


def test_either_old_credential_is_dead_for_everything(service: Service, agent: Agent) -> None:
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    refused = [
        service.whoami(agent.key),
        service.rotate(agent.key, agent.secret),
        service.rotate(agent.key, new.secret),
        service.rotate(new.key, agent.secret),
        service.revoke_self(agent.key, agent.secret),
        service.revoke_self(agent.key, new.secret),
        service.revoke_self(new.key, agent.secret),
    ]
    for answer in refused:
        assert_problem(answer, 401, "invalid_credentials", INVALID_CREDENTIALS)
    assert service.whoami(new.key).json()["generation"] == 2


def test_credentials_of_two_agents_do_not_mix(service: Service) -> None:
    one, other = service.register(), service.register()
    assert_problem(service.rotate(one.key, other.secret), 401, "invalid_credentials")
    assert_problem(service.rotate(other.key, one.secret), 401, "invalid_credentials")
    for agent in (one, other):
        assert service.whoami(agent.key).json()["generation"] == 1


def test_a_rotation_leaves_credits_alone(service: Service, agent: Agent) -> None:
    body = {"amount": -58, "reason": "test"}
    service.post(f"/v1/agents/{agent.id}/credits", service.operator, json=body)
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    assert service.whoami(new.key).json()["creditBalance"] == 42


def test_a_rotation_works_without_credits(service: Service, agent: Agent) -> None:
    body = {"amount": -100, "reason": "test"}
    service.post(f"/v1/agents/{agent.id}/credits", service.operator, json=body)
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    assert service.whoami(new.key).json()["creditBalance"] == 0


def test_a_rotation_changes_the_keys_date_and_nothing_else(service: Service, agent: Agent) -> None:
    before = service.inspect(agent.id)
    service.rotate(agent.key, agent.secret)
    after = service.inspect(agent.id)
    changed = {name for name in before if before[name] != after[name]}
    assert {"generation"} <= changed
    assert changed <= {"generation", "keyCreatedAt", "rotationDueAt", "apiKeyMasked"}
    assert TIME.fullmatch(after["keyCreatedAt"]) and after["keyCreatedAt"] > before["keyCreatedAt"]


def test_unknown_members_do_not_disturb_a_rotation(service: Service, agent: Agent) -> None:
    body = {"x": [1], "rotationSecret": agent.secret, "apiKey": "mine", "agentId": "other"}
    answer = service.post("/v1/agents/self/rotate-key", agent.key, json=body)
    assert (answer.status_code, answer.json()["agentId"]) == (200, agent.id)


def test_the_content_type_does_not_matter(service: Service, agent: Agent) -> None:
    body = json.dumps({"rotationSecret": agent.secret}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = service.post("/v1/agents/self/rotate-key", agent.key, headers=headers, content=body)
    assert answer.status_code == 200


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that this module may stop and start."""
    with running_server(trusted_proxies=PROXIES) as server:
        yield server


def test_a_restart_keeps_everything_and_spent_attempts_too(own: Server) -> None:
    service = service_of(own)
    first, dead = service.register(), service.register()
    service.post(f"/v1/agents/{dead.id}/revoke", service.operator, json={"reason": "test"})
    agent = after_rotation(first, service.rotate(first.key, first.secret))
    for _ in range(2):
        service.rotate(forged("ak"), forged("rs"), address="203.0.113.9")
    before = service.whoami(agent.key).json(), service.audit()
    assert own.stop() == 0
    own.start()
    assert (service.whoami(agent.key).json(), service.audit()) == before
    assert_problem(service.whoami(first.key), 401, "invalid_credentials")
    assert_problem(service.whoami(dead.key), 403, "agent_revoked")
    third = service.rotate(agent.key, agent.secret, address="203.0.113.9")
    assert (third.status_code, third.headers["ratelimit"][:15]) == (200, '"rotation";r=0;')
    fourth = service.rotate(agent.key, agent.secret, address="203.0.113.9")
    assert_problem(fourth, 429, "too_many_rotation_attempts")


def test_a_crash_keeps_what_was_answered(own: Server) -> None:
    service = service_of(own)
    agent = service.register()
    new = after_rotation(agent, service.rotate(agent.key, agent.secret, address="203.0.113.10"))
    own.kill()
    own.start()
    assert service.whoami(new.key).json()["generation"] == 2
    assert_problem(service.whoami(agent.key), 401, "invalid_credentials")
    spent = service.rotate(forged("ak"), forged("rs"), address="203.0.113.10")
    assert spent.headers["ratelimit"].startswith('"rotation";r=1;')
