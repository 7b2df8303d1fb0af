"""Section 3: agents that register themselves, where registration is open."""

import json

import pytest

from .client import UUID, Agent, Service, assert_names_member, assert_problem, forged

REGISTER = "/v1/auth/agent-register"
MEMBERS = {"agentId", "developerId", "name", "apiKey", "rotationSecret", "creditBalance"}


def test_a_registration_answers_with_a_working_pair_and_100_credits(service: Service) -> None:
    answer = service.post(REGISTER, json={"name": "my-research-agent"})
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) >= MEMBERS
    assert (made["name"], made["creditBalance"]) == ("my-research-agent", 100)
    assert UUID.fullmatch(made["agentId"]) and UUID.fullmatch(made["developerId"])
    assert service.whoami(made["apiKey"]).json()["agentId"] == made["agentId"]
    assert service.rotate(made["apiKey"], made["rotationSecret"]).status_code == 200


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"x": 1}', b' {"other": "member"}\n'])
def test_the_body_and_the_name_are_optional(service: Service, body: bytes | None) -> None:
    answer = service.post(REGISTER) if body is None else service.post(REGISTER, content=body)
    assert answer.status_code == 201
    assert 1 <= len(answer.json()["name"]) <= 100


def test_two_agents_may_have_one_name(service: Service) -> None:
    made = [service.register("the same") for _ in range(2)]
    assert made[0].id != made[1].id
    assert made[0].key != made[1].key


def test_a_self_registered_agent_belongs_to_the_built_in_owner(service: Service) -> None:
    owners = {service.inspect(service.register().id)["developerId"] for _ in range(2)}
    built_in = [
        item["developerId"]
        for item in service.listed("/v1/developers", service.operator)
        if item["email"] is None
    ]
    assert list(owners) == built_in


def test_every_operator_sees_it_and_no_developer(service: Service, agent: Agent) -> None:
    path = f"/v1/agents/{agent.id}"
    for operator in (True, False):
        someone = service.create_developer(operator=operator)
        assert service.get(path, someone.token).status_code == (200 if operator else 404)


def test_an_authorization_header_does_not_matter(service: Service) -> None:
    assert service.post(REGISTER, forged("dt")).status_code == 201
    assert service.post(REGISTER, headers={"Authorization": "nonsense"}).status_code == 201


BAD_BODIES = [b"null", b"[]", b"[{}]", b"7", b'"text"', b"true", b"{", b"{'name': 'x'}", b"name=x"]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_body_that_is_no_object_registers_nobody(service: Service, body: bytes) -> None:
    newest = service.get("/v1/agents?limit=1", service.operator).json()["items"]
    assert_problem(service.post(REGISTER, content=body), 400, "invalid_request")
    assert service.get("/v1/agents?limit=1", service.operator).json()["items"] == newest


BAD_ENROLMENT_TOKENS = ["x", "sk_live_en_", forged("en"), forged("dt"), "🔑", " "]


@pytest.mark.parametrize("token", BAD_ENROLMENT_TOKENS, ids=range(len(BAD_ENROLMENT_TOKENS)))
def test_a_bad_enrolment_token_is_401_although_none_is_needed(service: Service, token: str) -> None:
    answer = service.post(REGISTER, json={"enrolmentToken": token})
    assert_problem(answer, 401, "invalid_enrolment_token")


@pytest.mark.parametrize("token", [5, True, [], {}])
def test_an_enrolment_token_that_is_no_text_is_malformed(service: Service, token: object) -> None:
    answer = service.post(REGISTER, json={"enrolmentToken": token})
    assert_names_member(answer, "enrolmentToken")


def test_the_answer_is_shown_once(service: Service, agent: Agent) -> None:
    later = [
        service.whoami(agent.key).text,
        service.get(f"/v1/agents/{agent.id}", service.operator).text,
        service.get("/v1/agents?limit=200", service.operator).text,
        json.dumps(service.audit(agentId=agent.id)),
    ]
    assert not any(agent.key in text or agent.secret in text for text in later)


def test_a_key_is_listed_masked(service: Service, agent: Agent) -> None:
    assert service.inspect(agent.id)["apiKeyMasked"] == f"sk_live_ak_…{agent.key[-4:]}"
