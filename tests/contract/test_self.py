"""Section 3: what an agent learns of itself, and how it revokes itself."""

import datetime as dt

import pytest

from .client import (
    INVALID_CREDENTIALS,
    TIME,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_problem,
    forged,
    ipv4,
)

REVOKE = "/v1/agents/self/revoke"
MEMBERS = {
    "agentId", "agentName", "developerId", "status", "generation", "keyCreatedAt",
    "rotationDueAt", "rotationSecretConfigured", "creditBalance",
}  # fmt: skip


def test_an_agent_sees_itself(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token)
    answer = service.whoami(agent.key)
    seen = answer.json()
    assert answer.status_code == 200
    assert set(seen) >= MEMBERS
    assert (seen["agentId"], seen["agentName"]) == (agent.id, agent.name)
    assert (seen["developerId"], seen["status"]) == (developer.id, "active")
    assert (seen["generation"], seen["creditBalance"]) == (1, 100)
    assert seen["rotationSecretConfigured"] is True


def test_a_rotation_is_due_seven_days_after_the_keys_date(service: Service, agent: Agent) -> None:
    seen = service.whoami(agent.key).json()
    assert TIME.fullmatch(seen["keyCreatedAt"]) and TIME.fullmatch(seen["rotationDueAt"])
    made, due = (
        dt.datetime.fromisoformat(seen[name]) for name in ("keyCreatedAt", "rotationDueAt")
    )
    assert due - made == dt.timedelta(days=7)


def test_an_agent_without_a_secret_sees_that(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token, secret=False)
    assert service.whoami(agent.key).json()["rotationSecretConfigured"] is False


def test_a_revoked_agent_is_told_so(service: Service, agent: Agent) -> None:
    path = f"/v1/agents/{agent.id}/revoke"
    service.post(path, service.operator, json={"reason": "test"})
    assert_problem(service.whoami(agent.key), 403, "agent_revoked", "Agent revoked")


def test_an_unknown_key_is_401(service: Service, agent: Agent) -> None:
    after_rotation(agent, service.rotate(agent.key, agent.secret))
    for key in (forged("ak"), agent.key, "malformed"):
        assert_problem(service.whoami(key), 401, "invalid_credentials", INVALID_CREDENTIALS)


def test_an_agent_revokes_itself(service: Service, agent: Agent) -> None:
    answer = service.revoke_self(agent.key, agent.secret)
    assert answer.status_code == 200
    assert answer.json() == {"agentId": agent.id, "status": "revoked"}
    assert_problem(service.whoami(agent.key), 403, "agent_revoked")
    assert_problem(service.rotate(agent.key, agent.secret), 403, "agent_revoked")
    assert service.inspect(agent.id)["status"] == "revoked"


def test_revoking_twice_is_refused(service: Service, agent: Agent) -> None:
    service.revoke_self(agent.key, agent.secret)
    assert_problem(service.revoke_self(agent.key, agent.secret), 403, "agent_revoked")


ROWS = [
    ("no bearer", 401, "invalid_credentials"),
    ("no secret", 400, "rotation_secret_required"),
    ("unknown key", 401, "invalid_credentials"),
    ("revoked", 403, "agent_revoked"),
    ("none configured", 403, "no_rotation_secret"),
    ("wrong secret", 401, "invalid_credentials"),
]
PAIRS = [
    (earlier, later)
    for number, earlier in enumerate(ROWS)
    for later in ROWS[number:]
    if (earlier[0], later[0]) not in {("no bearer", "unknown key"), ("no secret", "wrong secret")}
]


@pytest.mark.parametrize(("row", "also"), PAIRS, ids=[f"{a[0]} with {b[0]}" for a, b in PAIRS])
def test_the_rows_of_the_rotation_hold_for_it(
    service: Service,
    developer: Developer,
    row: tuple[str, int, str],
    also: tuple[str, int, str],
) -> None:
    faults = {row[0], also[0]}
    agent = service.create_agent(developer.token, secret="none configured" not in faults)
    secret, key = agent.secret or forged("rs"), agent.key
    if "unknown key" in faults:
        key = forged("ak")
    if "revoked" in faults:
        path = f"/v1/agents/{agent.id}/revoke"
        service.post(path, developer.token, json={"reason": "test"})
    if "wrong secret" in faults:
        secret = forged("rs")
    body = {} if "no secret" in faults else {"rotationSecret": secret}
    before = service.inspect(agent.id)
    answer = service.post(REVOKE, None if "no bearer" in faults else key, json=body)
    assert_problem(answer, row[1], row[2])
    assert service.inspect(agent.id) == before


def test_an_unknown_key_and_a_wrong_secret_look_the_same(service: Service, agent: Agent) -> None:
    unknown = service.revoke_self(forged("ak"), agent.secret)
    wrong = service.revoke_self(agent.key, forged("rs"))
    assert unknown.headers.keys() == wrong.headers.keys()
    bodies = [answer.json() for answer in (unknown, wrong)]
    assert bodies[0].pop("requestId") != bodies[1].pop("requestId")
    assert bodies[0] == bodies[1]
    assert bodies[0]["detail"] == INVALID_CREDENTIALS


def test_ten_attempts_in_15_minutes_pass(service: Service) -> None:
    address = ipv4()
    for _ in range(10):
        answer = service.revoke_self(forged("ak"), forged("rs"), address=address)
        assert_problem(answer, 401, "invalid_credentials")
    agent = service.register()
    refused = service.revoke_self(agent.key, agent.secret, address=address)
    assert_problem(refused, 429, "too_many_attempts")
    assert service.whoami(agent.key).status_code == 200
    assert service.revoke_self(agent.key, agent.secret, address=ipv4()).status_code == 200


def test_a_spent_rotation_bucket_does_not_prevent_it(service: Service, agent: Agent) -> None:
    address = ipv4()
    statuses = [
        service.rotate(forged("ak"), forged("rs"), address=address).status_code for _ in range(4)
    ]
    assert statuses == [401] * 3 + [429]
    assert service.revoke_self(agent.key, agent.secret, address=address).status_code == 200


def test_a_spent_bucket_of_revocations_does_not_prevent_a_rotation(
    service: Service, agent: Agent
) -> None:
    address = ipv4()
    statuses = [
        service.revoke_self(forged("ak"), forged("rs"), address=address).status_code
        for _ in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    assert service.rotate(agent.key, agent.secret, address=address).status_code == 200


def test_refusals_before_the_limit_spend_nothing(service: Service, agent: Agent) -> None:
    address = ipv4()
    for _ in range(11):
        service.post(REVOKE, json={"rotationSecret": agent.secret}, address=address)
        service.post(REVOKE, agent.key, json={}, address=address)
    assert service.revoke_self(agent.key, agent.secret, address=address).status_code == 200
