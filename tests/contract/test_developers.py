"""Section 5: developers, operators, and the tokens of both."""

import httpx
import pytest

from .client import (
    ABSENT_ID,
    TIME,
    UUID,
    Developer,
    Service,
    assert_names_member,
    assert_problem,
    eventually,
    unique,
)

KINDS = {"developer": "dt", "service": "sv", "enrolment": "en"}
TOKEN_MEMBERS = {"id", "kind", "name", "developerId", "masked", "createdAt", "lastUsedAt"}
DEVELOPER_MEMBERS = {"developerId", "email", "operator", "status", "createdAt"}


def test_an_operator_makes_developers_and_operators(service: Service) -> None:
    for operator in (False, True):
        body = {"email": f"{unique('new')}@example.com", "operator": operator}
        answer = service.post("/v1/developers", service.operator, json=body)
        made = answer.json()
        assert answer.status_code == 201
        assert set(made) >= DEVELOPER_MEMBERS | {"token"}
        assert (made["email"], made["operator"]) == (body["email"], operator)
        assert (made["status"], made["token"][:11]) == ("active", "sk_live_dt_")
        assert UUID.fullmatch(made["developerId"]) and TIME.fullmatch(made["createdAt"])
        seen = service.get("/v1/developers", made["token"]).status_code
        assert seen == (200 if operator else 403)


def test_a_developer_is_no_operator_unless_told(service: Service) -> None:
    body = {"email": f"{unique('plain')}@example.com"}
    assert service.post("/v1/developers", service.operator, json=body).json()["operator"] is False


def test_developers_are_listed_without_tokens(service: Service, developer: Developer) -> None:
    newest = service.get("/v1/developers?limit=1", service.operator).json()["items"][0]
    assert (newest["developerId"], newest["email"]) == (developer.id, developer.email)
    assert set(newest) >= DEVELOPER_MEMBERS
    assert "token" not in newest


def test_an_email_is_taken_once(service: Service, developer: Developer) -> None:
    answer = service.post("/v1/developers", service.operator, json={"email": developer.email})
    assert_problem(answer, 409, "email_taken")


BAD_EMAILS = [
    "",
    "x",
    "@",
    "a@",
    "@b",
    "a b@example.com",
    "a@b\n.com",
    "a@\u202eb.com",
    5,
    None,
    [],
]


@pytest.mark.parametrize("email", BAD_EMAILS)
def test_an_email_is_one(service: Service, email: object) -> None:
    answer = service.post("/v1/developers", service.operator, json={"email": email})
    assert_names_member(answer, "email")


@pytest.mark.parametrize("value", ["yes", 1, [], "true"])
def test_whether_it_is_an_operator_is_true_or_false(service: Service, value: object) -> None:
    body = {"email": f"{unique('bad')}@example.com", "operator": value}
    answer = service.post("/v1/developers", service.operator, json=body)
    assert_names_member(answer, "operator")


def test_developers_are_for_operators_only(service: Service, developer: Developer) -> None:
    body = {"email": f"{unique('bad')}@example.com"}
    for answer in (
        service.get("/v1/developers", developer.token),
        service.post("/v1/developers", developer.token, json=body),
        service.post(f"/v1/developers/{developer.id}/disable", developer.token),
        service.post(f"/v1/developers/{ABSENT_ID}/disable", developer.token),
    ):
        assert_problem(answer, 403, "operator_only")
    emails = {item["email"] for item in service.listed("/v1/developers", service.operator)}
    assert body["email"] not in emails
    assert service.get("/v1/agents", developer.token).status_code == 200


def test_disabling_kills_every_token_at_once(service: Service, developer: Developer) -> None:
    agent = service.create_agent(developer.token)
    second = service.create_token("developer", developer.token)["token"]
    enrolment = service.create_token("enrolment", developer.token, maxUses=9)["token"]
    path = f"/v1/developers/{developer.id}/disable"
    answer = service.post(path, service.operator)
    assert (answer.status_code, answer.json()) == (
        200,
        {"developerId": developer.id, "status": "disabled"},
    )
    for token in (developer.token, second):
        assert_problem(service.get("/v1/agents", token), 401, "invalid_token")
    refused = service.post("/v1/auth/agent-register", json={"enrolmentToken": enrolment})
    assert_problem(refused, 401, "invalid_enrolment_token")
    listed = service.listed("/v1/developers", service.operator)
    states = [item["status"] for item in listed if item["developerId"] == developer.id]
    assert states == ["disabled"]
    # The agents are the operators' to deal with; their keys are no tokens of the developer.
    assert service.whoami(agent.key).status_code == 200
    assert service.post(f"/v1/agents/{agent.id}/rotate-key", service.operator).status_code == 200


def test_what_a_disabled_operator_made_for_another_is_dead_too(
    service: Service, developer: Developer
) -> None:
    leaver = service.create_developer(operator=True)
    given = service.create_token("developer", leaver.token, developerId=developer.id)["token"]
    agent = service.create_agent(given)
    service.post(f"/v1/developers/{leaver.id}/disable", service.operator).raise_for_status()
    assert_problem(service.get("/v1/agents", given), 401, "invalid_token")
    assert service.get(f"/v1/agents/{agent.id}", developer.token).status_code == 200


def test_an_unknown_developer_is_404(service: Service) -> None:
    answer = service.post(f"/v1/developers/{ABSENT_ID}/disable", service.operator)
    assert_problem(answer, 404, "developer_not_found")


def test_the_built_in_owner_is_not_disabled(service: Service) -> None:
    agent = service.register()
    owner = service.inspect(agent.id)["developerId"]
    answer = service.post(f"/v1/developers/{owner}/disable", service.operator)
    assert_problem(answer, 409, "built_in_owner")


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_is_shown_once_and_then_masked(
    service: Service, developer: Developer, kind: str
) -> None:
    answer = service.post(f"/v1/{kind}-tokens", developer.token, json={"name": "for CI"})
    made = answer.json()
    token = made.pop("token")
    assert answer.status_code == 201
    assert set(made) >= TOKEN_MEMBERS
    assert (made["kind"], made["name"], made["developerId"]) == (kind, "for CI", developer.id)
    assert (made["masked"], token[:11]) == (
        f"sk_live_{KINDS[kind]}_…{token[-4:]}",
        f"sk_live_{KINDS[kind]}_",
    )
    listed = service.get(f"/v1/{kind}-tokens", developer.token)
    assert listed.json()["items"][0] == {**made}
    assert token not in listed.text


def test_a_tokens_use_is_noted(service: Service, developer: Developer) -> None:
    made = service.create_token("developer", developer.token)
    assert made["lastUsedAt"] is None
    service.get("/v1/agents", made["token"])

    def used() -> str | None:
        items = service.listed("/v1/developer-tokens", developer.token)
        times: dict[str, str | None] = {item["id"]: item["lastUsedAt"] for item in items}
        return times[made["id"]]

    assert TIME.fullmatch(eventually(used))


def _delete(service: Service, kind: str, id: str, token: str) -> httpx.Response:
    return service.call("DELETE", f"/v1/{kind}-tokens/{id}", token=token)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_token_is_gone(service: Service, developer: Developer, kind: str) -> None:
    made = service.create_token(kind, developer.token)
    answer = _delete(service, kind, made["id"], developer.token)
    assert (answer.status_code, answer.content) == (204, b"")
    listed = service.listed(f"/v1/{kind}-tokens", developer.token)
    assert made["id"] not in {item["id"] for item in listed}
    again = _delete(service, kind, made["id"], developer.token)
    assert_problem(again, 404, "token_not_found")


def test_a_deleted_developer_token_is_dead_at_once(service: Service, developer: Developer) -> None:
    made = service.create_token("developer", developer.token)
    assert service.get("/v1/agents", made["token"]).status_code == 200
    _delete(service, "developer", made["id"], made["token"])
    assert_problem(service.get("/v1/agents", made["token"]), 401, "invalid_token")
    assert service.get("/v1/agents", developer.token).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_anothers_token_is_404_and_not_listed(
    service: Service, developer: Developer, kind: str
) -> None:
    made = service.create_token(kind, developer.token)
    other = service.create_developer()
    answer = _delete(service, kind, made["id"], other.token)
    assert_problem(answer, 404, "token_not_found")
    others = {item["id"] for item in service.listed(f"/v1/{kind}-tokens", other.token)}
    assert made["id"] not in others
    own = {item["id"] for item in service.listed(f"/v1/{kind}-tokens", developer.token)}
    assert made["id"] in own


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_another_kind_has_another_address(
    service: Service, developer: Developer, kind: str
) -> None:
    made = service.create_token(kind, developer.token)
    for wrong in KINDS:
        if wrong != kind:
            answer = _delete(service, wrong, made["id"], developer.token)
            assert_problem(answer, 404, "token_not_found")
    assert _delete(service, kind, made["id"], developer.token).status_code == 204


def test_an_operator_makes_a_token_for_a_developer(service: Service, developer: Developer) -> None:
    made = service.create_token("developer", service.operator, developerId=developer.id)
    agent = service.create_agent(made["token"])
    assert made["developerId"] == developer.id == service.inspect(agent.id)["developerId"]


def test_a_developer_makes_no_token_for_another(service: Service, developer: Developer) -> None:
    other = service.create_developer()
    body = {"name": "x", "developerId": other.id}
    answer = service.post("/v1/developer-tokens", developer.token, json=body)
    assert answer.status_code == 403
    assert_problem(answer, 403, "operator_only")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [5, [], True, "a\x00b", "a\u202eb", "x" * 101])
def test_a_tokens_name_is_checked_like_an_agents(
    service: Service, developer: Developer, kind: str, name: object
) -> None:
    before = service.listed(f"/v1/{kind}-tokens", developer.token)
    answer = service.post(f"/v1/{kind}-tokens", developer.token, json={"name": name})
    assert_names_member(answer, "name")
    after = service.listed(f"/v1/{kind}-tokens", developer.token)
    assert [item["id"] for item in after] == [item["id"] for item in before]
