"""Section 2: what every answer has in common, whatever was asked."""

import httpx
import pytest

from .client import Agent, Service, assert_problem, forged
from .routes import CALLS, ROUTES, filled

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
OURS = "X-Request-Id"


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_the_request_id_is_ours_and_new(service: Service, method: str, path: str) -> None:
    sent = {OURS: "mine"}
    answers = [service.call(method, filled(path), headers=sent) for _ in range(2)]
    ids = [answer.headers.get_list(OURS) for answer in answers]
    assert [len(found) for found in ids] == [1, 1]
    assert ids[0] != ids[1]
    assert "mine" not in ids[0][0]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/favicon.ico", "/v1/agents/"])
def test_an_unknown_path_is_404_with_a_request_id(service: Service, path: str) -> None:
    answer = service.get(path)
    assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize("path", [path for path in ROUTES if path.startswith("/v1/")])
def test_no_answer_of_the_api_may_be_stored(service: Service, path: str) -> None:
    answers = [
        *(service.call(method, filled(path), token=service.operator) for method in METHODS),
        service.post(filled(path), content=b"x" * 8193),
        service.get(filled(path), params={"access_token": "x"}),
        service.get(filled(path) + "/nothing"),
    ]
    assert {answer.headers.get("cache-control") for answer in answers} == {"no-store"}


def test_a_success_of_the_api_may_not_be_stored(service: Service, agent: Agent) -> None:
    answers = [
        service.whoami(agent.key),
        service.post("/v1/auth/agent-register"),
        service.rotate(agent.key, agent.secret),
        service.get("/v1/audit/export", service.create_developer().token),
        service.call("DELETE", f"/v1/agents/{agent.id}", token=service.operator),
    ]
    assert [answer.is_success for answer in answers] == [True] * 5
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize("path", ROUTES)
def test_a_wrong_method_is_405_with_every_right_one(service: Service, path: str) -> None:
    for method in METHODS:
        answer = service.call(method, filled(path))
        allowed = {name.strip() for name in answer.headers.get("allow", "").split(",")}
        if method in ROUTES[path]:
            assert answer.status_code != 405
        elif method in {"HEAD", "OPTIONS"} and answer.status_code != 405:
            assert "GET" in ROUTES[path] or method == "OPTIONS"
        else:
            assert answer.status_code == 405, method
            assert allowed - {"HEAD", "OPTIONS"} == ROUTES[path]
            if method != "HEAD":
                assert_problem(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ROUTES)
def test_allow_names_no_method_that_is_not_allowed(service: Service, path: str) -> None:
    for method in service.call("PUT", filled(path)).headers["allow"].split(","):
        assert service.call(method.strip(), filled(path)).status_code != 405


def test_a_head_answer_has_no_body(service: Service) -> None:
    assert service.call("HEAD", "/v1/agents/self").content == b""


PLAIN = 'Bearer realm="keyturn"'
REFUSED = 'Bearer realm="keyturn", error="invalid_token"'
CHALLENGES = {
    "no Authorization": ({}, PLAIN),
    "another scheme": ({"Authorization": "Basic YTpi"}, PLAIN),
    "Bearer without a token": ({"Authorization": "Bearer"}, PLAIN),
    "an unknown token": ({"Authorization": f"Bearer {forged('ak')}"}, REFUSED),
    "a token that is none of ours": ({"Authorization": "Bearer abc"}, REFUSED),
}


def _challenge(answer: httpx.Response) -> tuple[int, list[str]]:
    return answer.status_code, answer.headers.get_list("www-authenticate")


@pytest.mark.parametrize("case", CHALLENGES)
@pytest.mark.parametrize("path", ["/v1/agents/self", "/v1/agents"])
def test_a_401_says_how_to_authenticate(service: Service, path: str, case: str) -> None:
    headers, challenge = CHALLENGES[case]
    assert _challenge(service.get(path, headers=headers)) == (401, [challenge])


@pytest.mark.parametrize("case", CHALLENGES)
@pytest.mark.parametrize("path", ["/v1/agents/self/rotate-key", "/v1/agents/self/revoke"])
def test_a_401_for_a_pair_says_so_too(service: Service, path: str, case: str) -> None:
    headers, challenge = CHALLENGES[case]
    answer = service.post(path, headers=headers, json={"rotationSecret": forged("rs")})
    assert _challenge(answer) == (401, [challenge])


def test_a_bad_enrolment_token_gets_a_challenge_too(service: Service) -> None:
    answer = service.post("/v1/auth/agent-register", json={"enrolmentToken": forged("en")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] in {PLAIN, REFUSED}


def test_json_is_parsed_whatever_the_content_type(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
        headers = {"Content-Type": kind}
        answer = service.post(
            "/v1/auth/agent-register", headers=headers, content=b'{"name": "by any type"}'
        )
        assert (answer.status_code, answer.json()["name"]) == (201, "by any type")


def test_json_answers_are_utf_8_and_say_so(service: Service) -> None:
    answer = service.post("/v1/auth/agent-register", json={"name": "Zoë 🔑"})
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert answer.content.decode("utf-8") and answer.json()["name"] == "Zoë 🔑"
