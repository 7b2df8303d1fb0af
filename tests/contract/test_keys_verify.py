"""Section 6: a service asks whose API key it was shown."""

import json

import httpx
import pytest

from .checks import BATCH, INTROSPECT, VERIFY, ask
from .client import (
    KINDS,
    TIME,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_names_member,
    assert_problem,
    forged,
)
from .test_credentials import DAMAGES

MEMBERS = [
    "valid", "agentId", "agentName", "developerId", "generation", "keyCreatedAt", "rotationDueAt",
    "creditBalance",
]  # fmt: skip
INVALID = {"valid": False, "code": "invalid"}


def test_a_good_key_is_told_with_its_agent(
    service: Service, checker: str, developer: Developer, owned: Agent
) -> None:
    answer = service.verify(checker, owned.key)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    said = answer.json()
    assert list(said) == MEMBERS
    own = service.whoami(owned.key).json()
    assert said == {"valid": True, **{name: own[name] for name in MEMBERS[1:]}}
    assert (said["agentId"], said["developerId"]) == (owned.id, developer.id)
    assert (said["generation"], said["creditBalance"]) == (1, 100)
    assert TIME.fullmatch(said["keyCreatedAt"]) and TIME.fullmatch(said["rotationDueAt"])


def test_a_name_is_told_as_it_is(service: Service, checker: str) -> None:
    agent = service.register("Zoë 研究 🔑")
    assert service.verify(checker, agent.key).json()["agentName"] == "Zoë 研究 🔑"


def test_what_changes_is_told_at_once(service: Service, checker: str, agent: Agent) -> None:
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    service.change_credits(agent, -7)
    path = f"/v1/agents/{agent.id}"
    body = {"name": "another", "rotationPeriodDays": 1}
    service.call("PATCH", path, token=service.operator, json=body).raise_for_status()
    said = service.verify(checker, new.key).json()
    assert (said["generation"], said["creditBalance"], said["agentName"]) == (2, 93, "another")
    assert said["rotationDueAt"] == service.whoami(new.key).json()["rotationDueAt"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_key_is_invalid_and_no_error(
    service: Service, checker: str, agent: Agent, damage: str
) -> None:
    answer = service.verify(checker, DAMAGES[damage](agent.key))
    assert (answer.status_code, answer.json()) == (200, INVALID)


FORMS = ["", " ", "x", "Bearer x", "\x00", "🔑" * 50, "x" * 7000, "sk_live_ak_", "null", "é" * 1000]


@pytest.mark.parametrize("text", FORMS, ids=range(len(FORMS)))
def test_a_key_of_another_form_is_invalid_or_refused(
    service: Service, checker: str, text: str
) -> None:
    answer = service.verify(checker, text)
    if text:
        assert (answer.status_code, answer.json()) == (200, INVALID)
    elif answer.status_code != 200:
        assert_names_member(answer, "key")


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_that_is_no_api_key_is_invalid(
    service: Service, checker: str, agent: Agent, kind: str
) -> None:
    given = {"rs": agent.secret, "sv": checker, "dt": service.operator}
    for key in (given.get(kind, forged(kind)), forged(kind)):
        assert service.verify(checker, key).json() == INVALID


def test_a_key_in_spaces_is_not_the_key(service: Service, checker: str, agent: Agent) -> None:
    for key in (f" {agent.key}", f"{agent.key}\n", f"Bearer {agent.key}"):
        assert service.verify(checker, key).json() == INVALID


def test_a_revoked_agents_key_is_told_as_revoked(
    service: Service, checker: str, agent: Agent
) -> None:
    service.revoke_self(agent.key, agent.secret).raise_for_status()
    for cost in (None, 0, 1, 1000):
        answer = service.verify(checker, agent.key, cost)
        assert answer.json() == {"valid": False, "code": "revoked"}
    assert service.balance(agent) == 100


@pytest.mark.parametrize("key", [None, 5, True, ["x"], {"x": 1}, 1.5])
def test_a_key_is_a_text(service: Service, checker: str, key: object) -> None:
    assert_names_member(service.verify(checker, key), "key")


def test_a_key_is_required(service: Service, checker: str) -> None:
    for body in ({}, {"cost": 1}, {"Key": "x"}, {"apiKey": "x"}):
        assert_names_member(service.post(VERIFY, checker, json=body), "key")


def test_unknown_members_are_ignored(service: Service, checker: str, agent: Agent) -> None:
    body = {"x": [1], "key": agent.key, "agentId": "x", "costs": 5, "valid": False}
    assert service.post(VERIFY, checker, json=body).json()["agentId"] == agent.id
    assert service.balance(agent) == 100


NOT_OBJECTS = [
    b"", b"null", b"[]", b"7", b'"key"', b"{", b"{'key': 'x'}", b"key=x", b'{"key": "\xff"}',
    b'{"key": "\\ud83d"}', b"[" * 8000, b'{"key": NaN}', b'{"key": "x"} x', b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize("path", [VERIFY, BATCH])
@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_what_is_no_json_object_is_refused(
    service: Service, checker: str, path: str, body: bytes
) -> None:
    assert_problem(service.post(path, checker, content=body), 400, "invalid_request")


@pytest.mark.parametrize("path", [VERIFY, BATCH])
def test_the_content_type_does_not_matter(
    service: Service, checker: str, agent: Agent, path: str
) -> None:
    body = {"key": agent.key, "keys": [{"key": agent.key}]}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        headers = {"Content-Type": kind}
        answer = service.post(path, checker, headers=headers, content=json.dumps(body).encode())
        assert answer.status_code == 200


UNAUTHENTICATED = {
    "none": {},
    "Basic": {"Authorization": "Basic YTpi"},
    "the scheme alone": {"Authorization": "Bearer"},
    "unknown": {"Authorization": f"Bearer {forged('sv')}"},
    "damaged": {"Authorization": f"Bearer {forged('sv')}0"},
    "malformed": {"Authorization": "Bearer abc"},
    "another kind": {"Authorization": f"Bearer {forged('dt')}"},
}


@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
@pytest.mark.parametrize("case", UNAUTHENTICATED)
def test_without_a_good_service_token_it_is_401(
    service: Service, agent: Agent, path: str, case: str
) -> None:
    headers = UNAUTHENTICATED[case]
    for content in (b"{}", b"{", b"", b"token=x", json.dumps({"key": agent.key}).encode()):
        answer = service.post(path, headers=headers, content=content)
        assert_problem(answer, 401, "invalid_token")
        challenge = 'Bearer realm="keyturn"'
        sent = case not in {"none", "Basic", "the scheme alone"}
        if case == "Basic" and path == INTROSPECT:
            sent = True  # there, a token may come as a password
        challenge += ', error="invalid_token"' if sent else ""
        assert answer.headers.get_list("www-authenticate") == [challenge]


@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
def test_other_credentials_do_not_do_for_a_service_token(
    service: Service, agent: Agent, path: str
) -> None:
    enrolment = service.create_token("enrolment", service.operator)["token"]
    developers = service.create_token("developer", service.operator)["token"]
    for token in (agent.key, agent.secret, enrolment, developers, service.operator):
        assert_problem(ask(service, path, token, agent), 401, "invalid_token")


def test_a_service_token_opens_nothing_else(service: Service, checker: str, agent: Agent) -> None:
    assert_problem(service.whoami(checker), 401, "invalid_credentials")
    assert_problem(service.forward(checker), 401, "invalid_credentials")
    assert_problem(service.rotate(checker, agent.secret), 401, "invalid_credentials")
    assert_problem(service.get("/v1/agents", checker), 401, "invalid_token")
    assert_problem(service.get("/v1/service-tokens", checker), 401, "invalid_token")


def test_basic_is_for_introspection_only(service: Service, checker: str, agent: Agent) -> None:
    def answer(path: str) -> httpx.Response:
        body = {"key": agent.key, "keys": []}
        return httpx.post(service.url + path, auth=("any", checker), json=body)

    for path in (VERIFY, BATCH):
        assert_problem(answer(path), 401, "invalid_token")
