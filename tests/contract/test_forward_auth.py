"""Section 6: what a proxy is told about its visitor."""

import re
from urllib.parse import quote

import httpx
import pytest

from .checks import FORWARD
from .client import Agent, Developer, Service, after_rotation, assert_problem, forged

PLAIN = 'Bearer realm="keyturn"'
REFUSED = 'Bearer realm="keyturn", error="invalid_token"'
METHODS = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    "PROPFIND", "PURGE", "REPORT", "MKCOL", "LOCK", "M-SEARCH", "SEARCH", "QUERY", "BREW", "get",
]  # fmt: skip
PATHS = [
    "", "/", "/x", "/api/v2/things/7", "/a%20b", "/%2e%2e/agents", "/a/../b", "//", "/a//b",
    "/%00", "/%ff", "/x;y=1", "/v1/agents/self", "/" + "x" * 4000, "/caf%C3%A9", "/?", "?a=b",
]  # fmt: skip


def _assert_answer(answer: httpx.Response, agent: Agent, developer: Developer) -> None:
    assert answer.status_code == 200
    headers = answer.headers
    assert (headers["x-agent-id"], headers["x-developer-id"]) == (agent.id, developer.id)
    assert headers["x-agent-name"] == quote(agent.name, safe="")
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"]
    assert answer.content == b""


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_answered(
    service: Service, developer: Developer, owned: Agent, method: str
) -> None:
    _assert_answer(service.forward(owned.key, method), owned, developer)
    assert service.forward(forged("ak"), method).status_code == 401
    assert service.forward(None, method).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_every_path_below_it_is_answered(
    service: Service, developer: Developer, owned: Agent, path: str
) -> None:
    _assert_answer(service.get(FORWARD + path, owned.key), owned, developer)
    assert_problem(service.get(FORWARD + path, forged("ak")), 401, "invalid_credentials")


def test_a_200_has_no_body_and_says_so(service: Service, owned: Agent) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        answer = service.forward(owned.key, method)
        assert answer.headers["content-length"] == "0"
        assert "content-type" not in answer.headers
        assert "transfer-encoding" not in answer.headers


def test_a_200_has_exactly_these_headers(service: Service, owned: Agent) -> None:
    names = {name.lower() for name in service.forward(owned.key).headers}
    ours = {"x-agent-id", "x-agent-name", "x-developer-id", "x-request-id", "cache-control"}
    assert names - {"date", "server"} == ours | {"content-length"}


NAMES = {
    "letters": "my-research_agent.v2~1",
    "spaces and percent": "100 % mine",
    "accents": "Zoë Ångström",
    "Chinese": "研究代理",
    "emoji": "👩‍🚀 agent 🔑",
    "what headers are made of": 'a: b, c; d="e", <f>',
    "a plus and a slash": "a+b/c?d#e&f=g",
    "a hundred of four bytes": "🔑" * 100,
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_percent_encoded_utf_8(service: Service, developer: Developer, case: str) -> None:
    agent = service.create_agent(developer.token, name=NAMES[case])
    answer = service.forward(agent.key)
    _assert_answer(answer, agent, developer)
    assert re.fullmatch(r"([0-9A-Za-z._~-]|%[0-9A-F]{2})+", answer.headers["x-agent-name"])


def test_a_new_name_is_told_at_once(service: Service, developer: Developer, owned: Agent) -> None:
    service.forward(owned.key)
    path = f"/v1/agents/{owned.id}"
    service.call("PATCH", path, token=developer.token, json={"name": "another"})
    assert service.forward(owned.key).headers["x-agent-name"] == "another"


def test_an_agent_that_registered_itself_belongs_to_the_built_in_owner(
    service: Service, agent: Agent
) -> None:
    owner = service.inspect(agent.id)["developerId"]
    assert service.forward(agent.key).headers["x-developer-id"] == owner


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_revoked_agent_is_403(service: Service, agent: Agent, method: str) -> None:
    service.revoke_self(agent.key, agent.secret).raise_for_status()
    answer = service.forward(agent.key, method)
    assert_problem(answer, 403, "agent_revoked", "Agent revoked")
    assert not [name for name in answer.headers if name.lower().startswith("x-agent")]


def test_a_retired_key_of_a_revoked_agent_is_401(service: Service, agent: Agent) -> None:
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    service.revoke_self(new.key, new.secret).raise_for_status()
    assert service.forward(agent.key).status_code == 401


AUTHORIZATIONS = {
    "none": ({}, PLAIN),
    "an empty one": ({"Authorization": ""}, PLAIN),
    "another scheme": ({"Authorization": "Basic YTpi"}, PLAIN),
    "the scheme alone": ({"Authorization": "Bearer"}, PLAIN),
    "an unknown key": ({"Authorization": f"Bearer {forged('ak')}"}, REFUSED),
    "no key of ours": ({"Authorization": "Bearer abc"}, REFUSED),
}


@pytest.mark.parametrize("case", AUTHORIZATIONS)
def test_a_401_is_a_problem_with_a_challenge(service: Service, case: str) -> None:
    headers, challenge = AUTHORIZATIONS[case]
    answer = service.forward(headers=headers)
    assert_problem(answer, 401, "invalid_credentials")
    assert answer.headers.get_list("www-authenticate") == [challenge]
    assert answer.headers["cache-control"] == "no-store"


def test_a_refusal_to_head_has_the_headers_alone(service: Service, agent: Agent) -> None:
    refused = service.forward(forged("ak"), "HEAD")
    assert (refused.status_code, refused.content) == (401, b"")
    assert refused.headers["www-authenticate"] == REFUSED
    service.revoke_self(agent.key, agent.secret).raise_for_status()
    revoked = service.forward(agent.key, "HEAD")
    assert (revoked.status_code, revoked.content) == (403, b"")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_may_be_written_in_any_case(service: Service, owned: Agent, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {owned.key}"}
    assert service.forward(headers=headers).status_code == 200
    assert service.get("/v1/agents/self", headers=headers).status_code == 200


def test_unknown_retired_and_malformed_keys_look_the_same(service: Service, agent: Agent) -> None:
    service.rotate(agent.key, agent.secret).raise_for_status()
    seen = set()
    for key in (forged("ak"), agent.key, "malformed", agent.secret, forged("sv")):
        answer = service.forward(key)
        body = {name: value for name, value in answer.json().items() if name != "requestId"}
        names = [name for name, _ in answer.headers.raw]
        seen.add(str((answer.status_code, body, names, answer.headers["www-authenticate"])))
    assert len(seen) == 1


@pytest.mark.parametrize("path", ["/v1/forward-authx", "/v1/forward-auth-x/y", "/v1/forward_auth"])
def test_what_only_begins_like_it_is_not_it(service: Service, agent: Agent, path: str) -> None:
    assert_problem(service.get(path, agent.key), 404, "not_found")


def test_it_costs_nothing_and_works_at_a_balance_of_0(service: Service, agent: Agent) -> None:
    service.change_credits(agent, -100)
    assert [service.forward(agent.key).status_code for _ in range(3)] == [200] * 3
    assert service.balance(agent) == 0
