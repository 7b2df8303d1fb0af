"""Section 5: what developers do with their agents."""

import pytest

from .client import (
    ABSENT_ID,
    TIME,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_names_member,
    assert_problem,
    eventually,
)
from .routes import AGENT_CALLS, filled
from .test_self import MEMBERS

ANY_BODY = b'{"amount": 1, "reason": "test", "name": "x"}'
MORE = {"metadata", "onReuse", "rotationPeriodDays", "createdAt", "lastUsedAt"}


def test_a_developer_creates_an_agent(service: Service, developer: Developer) -> None:
    answer = service.post("/v1/agents", developer.token, json={"name": "mine"})
    made = answer.json()
    assert answer.status_code == 201
    assert (made["developerId"], made["name"]) == (developer.id, "mine")
    assert made["creditBalance"] == 100
    assert made["rotationSecret"].startswith("sk_live_rs_")
    assert service.rotate(made["apiKey"], made["rotationSecret"]).status_code == 200


def test_a_name_is_made_up_for_it_too(service: Service, developer: Developer) -> None:
    for body in (b"{}", b""):
        answer = service.post("/v1/agents", developer.token, content=body)
        assert (answer.status_code, bool(answer.json().get("name"))) == (201, True)


def test_an_agent_may_be_without_a_rotation_secret(service: Service, developer: Developer) -> None:
    body = {"name": "x", "rotationSecret": False}
    made = service.post("/v1/agents", developer.token, json=body).json()
    assert made["rotationSecret"] is None
    assert service.inspect(made["agentId"])["rotationSecretConfigured"] is False


@pytest.mark.parametrize("value", ["true", 1, 0, [], {}, "sk_live_rs_"])
def test_whether_it_has_one_is_true_or_false(
    service: Service, developer: Developer, value: object
) -> None:
    answer = service.post("/v1/agents", developer.token, json={"rotationSecret": value})
    assert_names_member(answer, "rotationSecret")
    assert service.listed("/v1/agents", developer.token) == []


def test_an_agent_is_shown_with_all_its_members(
    service: Service, developer: Developer, owned: Agent
) -> None:
    seen = service.get(f"/v1/agents/{owned.id}", developer.token).json()
    assert set(seen) >= MEMBERS | MORE
    assert (seen["agentName"], seen["developerId"]) == (owned.name, developer.id)
    assert (seen["metadata"], seen["onReuse"], seen["rotationPeriodDays"]) == ({}, "alert", 7)
    assert TIME.fullmatch(seen["createdAt"])
    assert seen["lastUsedAt"] is None


def test_a_developer_rotates_without_a_secret(
    service: Service, developer: Developer, owned: Agent
) -> None:
    path = f"/v1/agents/{owned.id}/rotate-key"
    new = owned
    for generation in range(2, 8):
        new = after_rotation(owned, service.post(path, developer.token, address="203.0.113.77"))
        assert service.whoami(new.key).json()["generation"] == generation
    assert_problem(service.whoami(owned.key), 401, "invalid_credentials")
    assert_problem(service.rotate(new.key, owned.secret), 401, "invalid_credentials")
    assert service.rotate(new.key, new.secret).status_code == 200


def test_it_stays_without_a_secret_when_rotated(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token, secret=False)
    path = f"/v1/agents/{agent.id}/rotate-key"
    made = service.post(path, developer.token).json()
    assert made["rotationSecret"] is None
    assert service.whoami(made["apiKey"]).json()["rotationSecretConfigured"] is False


def test_a_secret_is_configured_and_shown_once(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token, secret=False)
    path = f"/v1/agents/{agent.id}/rotation-secret"
    answer = service.post(path, developer.token)
    assert (answer.status_code, answer.json()["agentId"]) == (201, agent.id)
    seen = service.whoami(agent.key).json()
    assert (seen["rotationSecretConfigured"], seen["generation"]) == (True, 2)
    assert service.rotate(agent.key, answer.json()["rotationSecret"]).status_code == 200


def test_a_new_secret_replaces_the_one_before(
    service: Service, developer: Developer, owned: Agent
) -> None:
    path = f"/v1/agents/{owned.id}/rotation-secret"
    secret = service.post(path, developer.token).json()["rotationSecret"]
    assert_problem(service.rotate(owned.key, owned.secret), 401, "invalid_credentials")
    assert service.rotate(owned.key, secret).status_code == 200


def test_a_secret_is_removed(service: Service, developer: Developer, owned: Agent) -> None:
    path = f"/v1/agents/{owned.id}/rotation-secret"
    answers = [service.call("DELETE", path, token=developer.token) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    seen = service.whoami(owned.key).json()
    assert (seen["rotationSecretConfigured"], seen["generation"]) == (False, 2)
    assert_problem(service.rotate(owned.key, owned.secret), 403, "no_rotation_secret")


def test_a_developer_revokes_and_may_repeat_it(
    service: Service, developer: Developer, owned: Agent
) -> None:
    path = f"/v1/agents/{owned.id}/revoke"
    answers = [service.post(path, developer.token, json={"reason": "stolen"}) for _ in range(2)]
    expected = {"agentId": owned.id, "status": "revoked"}
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, expected)] * 2
    assert_problem(service.whoami(owned.key), 403, "agent_revoked")
    assert len(service.audit(agentId=owned.id, action="agent.revoked")) == 1


@pytest.mark.parametrize("call", ["rotate-key", "rotation-secret"])
def test_a_revoked_agent_gets_no_new_credentials(
    service: Service, developer: Developer, owned: Agent, call: str
) -> None:
    service.post(f"/v1/agents/{owned.id}/revoke", developer.token, json={"reason": "test"})
    before = service.inspect(owned.id)
    answer = service.post(f"/v1/agents/{owned.id}/{call}", developer.token)
    assert_problem(answer, 409, "agent_revoked")
    assert service.inspect(owned.id) == before


def test_a_revoked_agent_is_reinstated_with_a_new_pair(
    service: Service, developer: Developer, owned: Agent
) -> None:
    service.post(f"/v1/agents/{owned.id}/revoke", developer.token, json={"reason": "test"})
    generation = service.inspect(owned.id)["generation"]
    answer = service.post(f"/v1/agents/{owned.id}/reinstate", developer.token)
    assert list(answer.json()) == ["message", "apiKey", "rotationSecret", "agentId", "agentName"]
    new = after_rotation(owned, answer)
    seen = service.whoami(new.key).json()
    assert (seen["status"], seen["generation"]) == ("active", generation + 1)
    assert_problem(service.whoami(owned.key), 401, "invalid_credentials")
    assert_problem(service.rotate(new.key, owned.secret), 401, "invalid_credentials")
    assert service.rotate(new.key, new.secret).status_code == 200


def test_an_active_agent_is_not_reinstated(
    service: Service, developer: Developer, owned: Agent
) -> None:
    answer = service.post(f"/v1/agents/{owned.id}/reinstate", developer.token)
    assert_problem(answer, 409, "agent_active")
    assert service.whoami(owned.key).json()["generation"] == 1


def test_a_deleted_agent_is_gone_and_its_trail_keeps_ids_only(
    service: Service, developer: Developer, owned: Agent
) -> None:
    path = f"/v1/agents/{owned.id}"
    body = {"name": "somebody's name", "metadata": {"mail": "someone@example.org"}}
    service.call("PATCH", path, token=developer.token, json=body)
    answer = service.call("DELETE", path, token=developer.token)
    assert (answer.status_code, answer.content) == (204, b"")
    for method, route in AGENT_CALLS:
        again = service.call(
            method, filled(route, owned.id), token=service.operator, content=ANY_BODY
        )
        assert_problem(again, 404, "agent_not_found")
    assert_problem(service.whoami(owned.key), 401, "invalid_credentials")
    assert_problem(service.rotate(owned.key, owned.secret), 401, "invalid_credentials")
    trail = service.audit(agentId=owned.id)
    actions = [entry["action"] for entry in trail if entry["outcome"] == "success"]
    assert actions == ["agent.deleted", "agent.updated", "agent.created"]
    assert {entry["developerId"] for entry in trail} == {developer.id}
    assert not any(text in str(trail) for text in (owned.name, "somebody", "someone@example.org"))
    assert service.audit(developer.token, agentId=owned.id) == trail


@pytest.mark.parametrize(("method", "path"), AGENT_CALLS)
def test_anothers_agent_is_404_on_every_route(
    service: Service, owned: Agent, method: str, path: str
) -> None:
    other = service.create_developer()
    before = service.inspect(owned.id)
    anothers = service.call(method, filled(path, owned.id), token=other.token, content=ANY_BODY)
    absent = service.call(method, filled(path, ABSENT_ID), token=other.token, content=ANY_BODY)
    if not path.endswith("/credits"):
        assert_problem(anothers, 404, "agent_not_found")
    bodies = [answer.json() for answer in (anothers, absent)]
    assert bodies[0].pop("requestId") != bodies[1].pop("requestId")
    assert bodies[0] == bodies[1]
    assert service.inspect(owned.id) == before
    assert service.whoami(owned.key).status_code == 200


@pytest.mark.parametrize(
    "id", ["x", "self", "0", ABSENT_ID.upper(), ABSENT_ID[:-1], "%00", "..%2f"]
)
def test_an_id_that_is_none_is_no_agent(service: Service, id: str) -> None:
    answer = service.call("DELETE", f"/v1/agents/{id}/rotation-secret", token=service.operator)
    assert answer.status_code in {400, 404}
    assert_problem(answer, answer.status_code, answer.json()["code"])


def test_an_agent_named_self_in_the_path_is_no_agent(service: Service) -> None:
    for method in ("DELETE", "PATCH"):
        answer = service.call(method, "/v1/agents/self", token=service.operator)
        assert_problem(answer, 405, "method_not_allowed")


def test_developers_see_their_own_agents_and_operators_all(
    service: Service, developer: Developer, owned: Agent
) -> None:
    other = service.create_developer()
    others = service.create_agent(other.token)
    assert [a["agentId"] for a in service.listed("/v1/agents", developer.token)] == [owned.id]
    assert [a["agentId"] for a in service.listed("/v1/agents", other.token)] == [others.id]
    newest = service.get("/v1/agents?limit=2", service.operator).json()["items"]
    assert [item["agentId"] for item in newest] == [others.id, owned.id]


@pytest.mark.parametrize("call", ["rotate-key", "rotation-secret", "revoke", "reinstate", ""])
def test_an_operator_may_do_all_of_it_to_anyones_agent(
    service: Service, owned: Agent, call: str
) -> None:
    if call == "reinstate":
        service.post(f"/v1/agents/{owned.id}/revoke", service.operator, json={"reason": "test"})
    path = f"/v1/agents/{owned.id}/{call}".rstrip("/")
    method, body = ("POST", {"reason": "test"}) if call else ("PATCH", {"name": "renamed"})
    assert service.call(method, path, token=service.operator, json=body).is_success


def test_a_use_is_noted(service: Service, developer: Developer, owned: Agent) -> None:
    service.whoami(owned.key)

    def seen() -> dict[str, str | None]:
        shown: dict[str, str | None] = service.get(f"/v1/agents/{owned.id}", developer.token).json()
        return shown

    used = eventually(lambda: seen()["lastUsedAt"])
    assert TIME.fullmatch(used) and used >= str(seen()["createdAt"])
