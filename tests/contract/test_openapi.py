"""Section 2: `GET /openapi.json` describes exactly the live routes."""

import functools
import json
from typing import Any

import pytest

from .client import Service
from .routes import CALLS, FORWARD_AUTH, OPEN, ROUTES, SERVICES, filled

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
ELSEWHERE = [
    "/", "/v1", "/v1/", "/redoc", "/docs/oauth2-redirect", "/swagger", "/admin", "/static",
    "/v1/agents/", "/v1/sessions", "/v1/keys", "/v1/keys/x", "/v1/keys/verify/x", "/v1/introspect/",
    "/v1/forward", "/v1/forward-authx", "/v1/audit/x", "/v1/developers/x", "/v1/tokens",
    "/v1/developer-tokens/x/y", "/v1/agents/x/y", "/v1/auth", "/v1/auth/agent-login", "/health",
    "/openapi.yaml", "/.well-known/openid-configuration", "/v2/agents", "/V1/agents", "/debug",
]  # fmt: skip

# What sections 3, 5 and 6 say of each route, beyond what every route has.
EXPECTED = {
    "POST /v1/agents/self/rotate-key": (
        "200 400:invalid_request 400:rotation_secret_required 400:invalid_idempotency_key "
        "401:invalid_credentials 403:agent_revoked 403:no_rotation_secret 413:body_too_large "
        "429:too_many_rotation_attempts 503:unavailable"
    ),
    "POST /v1/auth/agent-register": (
        "201 400:invalid_request 401:invalid_enrolment_token 403:registration_closed "
        "413:body_too_large 429:too_many_registrations 503:unavailable"
    ),
    "GET /v1/agents/self": "200 400:invalid_request 401:invalid_credentials 403:agent_revoked",
    "POST /v1/agents/self/revoke": (
        "200 400:invalid_request 400:rotation_secret_required 401:invalid_credentials "
        "403:agent_revoked 403:no_rotation_secret 429:too_many_attempts 503:unavailable"
    ),
    "GET /v1/agents": "200 400:invalid_request 401:invalid_token",
    "POST /v1/agents": "201 400:invalid_request 401:invalid_token 413:body_too_large",
    "GET /v1/agents/{}": "200 401:invalid_token 404:agent_not_found",
    "PATCH /v1/agents/{}": "200 400:invalid_request 401:invalid_token 404:agent_not_found",
    "DELETE /v1/agents/{}": "204 401:invalid_token 404:agent_not_found",
    "POST /v1/agents/{}/rotate-key": (
        "200 401:invalid_token 404:agent_not_found 409:agent_revoked 503:unavailable"
    ),
    "POST /v1/agents/{}/rotation-secret": (
        "201 401:invalid_token 404:agent_not_found 409:agent_revoked"
    ),
    "DELETE /v1/agents/{}/rotation-secret": "204 401:invalid_token 404:agent_not_found",
    "POST /v1/agents/{}/revoke": "200 400:invalid_request 401:invalid_token 404:agent_not_found",
    "POST /v1/agents/{}/reinstate": "200 401:invalid_token 404:agent_not_found 409:agent_active",
    "POST /v1/agents/{}/credits": (
        "200 400:invalid_request 401:invalid_token 403:operator_only 404:agent_not_found "
        "409:insufficient_credits"
    ),
    "POST /v1/keys/verify": (
        "200 400:invalid_request 400:invalid_idempotency_key 401:invalid_token 413:body_too_large "
        "422:idempotency_key_reused 503:unavailable"
    ),
    "POST /v1/keys/verify-batch": (
        "200 400:invalid_request 401:invalid_token 413:body_too_large 503:unavailable"
    ),
    "POST /v1/introspect": (
        "200 400:invalid_request 401:invalid_token 413:body_too_large 503:unavailable"
    ),
    "GET /v1/forward-auth": "200 401:invalid_credentials 403:agent_revoked 503:unavailable",
    "POST /v1/forward-auth/{}": "200 401:invalid_credentials 403:agent_revoked 503:unavailable",
    "GET /v1/audit": "200 400:invalid_request 401:invalid_token",
    "GET /v1/audit/export": "200 400:invalid_request 401:invalid_token",
    "DELETE /v1/service-tokens/{}": "204 401:invalid_token 404:token_not_found",
    "POST /v1/developers": (
        "201 400:invalid_request 401:invalid_token 403:operator_only 409:email_taken"
    ),
    "POST /v1/developers/{}/disable": (
        "200 401:invalid_token 403:operator_only 404:developer_not_found 409:built_in_owner"
    ),
}


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    """The document, with every reference in it resolved."""
    described = service.get("/openapi.json").json()

    def resolved(node: Any, depth: int = 0) -> Any:
        if isinstance(node, dict) and "$ref" in node and depth < 20:
            steps = node["$ref"].removeprefix("#/").split("/")
            return resolved(functools.reduce(lambda n, step: n[step], steps, described), depth + 1)
        if isinstance(node, dict):
            return {name: resolved(value, depth + 1) for name, value in node.items()}
        return [resolved(item, depth + 1) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = resolved(described)
    return found


def _braces(path: str) -> str:
    """The path with each of its parameters as `{}`."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _described(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {_braces(path)}": item[method]
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def test_it_is_an_openapi_document(service: Service, document: dict[str, Any]) -> None:
    answer = service.get("/openapi.json")
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert document["openapi"].startswith("3.")
    assert document["info"]["version"]


def test_it_describes_exactly_the_routes_of_the_contract(document: dict[str, Any]) -> None:
    forwarding = [(method, path) for path, methods in FORWARD_AUTH.items() for method in methods]
    expected = {f"{method} {_braces(path)}" for method, path in CALLS + forwarding}
    assert set(_described(document)) == expected


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_route_is_live(service: Service, method: str, path: str) -> None:
    answer = service.call(method, filled(path), token=service.operator)
    unknown = answer.status_code == 404 and answer.json()["code"] == "not_found"
    assert (answer.status_code, unknown) != (405, True)
    assert not unknown


@pytest.mark.parametrize("path", ELSEWHERE)
def test_no_route_is_live_that_is_not_described(service: Service, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = service.call(method, path, token=service.operator)
        if answer.status_code == 405:
            # The path's shape is one of ours; the method must then not be.
            assert any(len(path.split("/")) == len(route.split("/")) for route in ROUTES)
        else:
            assert answer.status_code == 404
            assert answer.json()["code"].endswith("not_found")


@pytest.mark.parametrize("route", EXPECTED)
def test_each_status_and_code_is_described(document: dict[str, Any], route: str) -> None:
    responses = _described(document)[route]["responses"]
    missing = [
        expected
        for expected in EXPECTED[route].split()
        for status, _, code in [expected.partition(":")]
        if status not in responses or f'"{code}"' not in json.dumps(responses[status]) + '""'
    ]
    assert missing == []


def test_errors_are_described_as_problems(document: dict[str, Any]) -> None:
    for route, operation in _described(document).items():
        if not route.split(" ")[1].startswith("/v1/"):
            continue
        for status, response in operation["responses"].items():
            if status[0] in "45":
                assert "application/problem+json" in response["content"], f"{route} {status}"


def test_every_operation_says_who_may_call_it(document: dict[str, Any]) -> None:
    public = {f"{method} {_braces(path)}" for method, path in CALLS if path in OPEN}
    everywhere = document.get("security", [])
    for route, operation in _described(document).items():
        secured = bool(operation.get("security", everywhere))
        assert secured or route in public, route


def test_a_bearer_token_for_the_metrics_is_described_and_not_required(
    document: dict[str, Any],
) -> None:
    [scheme, nothing] = _described(document)["GET /metrics"]["security"]
    [name] = scheme
    assert document["components"]["securitySchemes"][name]["scheme"] == "bearer"
    assert nothing == {}


def test_every_format_of_the_export_is_described(
    service: Service, document: dict[str, Any]
) -> None:
    content = _described(document)["GET /v1/audit/export"]["responses"]["200"]["content"]
    assert set(content) == {"application/jsonl", "text/csv"}
    for form in ("jsonl", "csv"):
        answer = service.get("/v1/audit/export", service.operator, params={"format": form})
        assert answer.headers["content-type"].split(";")[0] in content


@pytest.mark.parametrize("path", ["/v1/agents/self/rotate-key", "/v1/auth/agent-register"])
def test_a_header_is_named_as_it_is_written(document: dict[str, Any], path: str) -> None:
    parameters = _described(document)[f"POST {path}"]["parameters"]
    assert [(item["name"], item["in"]) for item in parameters] == [("Idempotency-Key", "header")]


def test_forward_authentication_is_described_as_it_answers(document: dict[str, Any]) -> None:
    told = {"X-Agent-Id", "X-Agent-Name", "X-Developer-Id"}
    operations = _described(document)
    for path in FORWARD_AUTH:
        for method in FORWARD_AUTH[path]:
            responses = operations[f"{method} {_braces(path)}"]["responses"]
            assert set(responses) == {"200", "401", "403", "503"}
            assert set(responses["200"]["headers"]) >= told
            assert "content" not in responses["200"]


def test_a_verification_is_described_with_either_answer(document: dict[str, Any]) -> None:
    operation = _described(document)["POST /v1/keys/verify"]
    schema = json.dumps(operation["responses"]["200"]["content"]["application/json"]["schema"])
    for word in ("valid", "agentId", "rotationDueAt", "creditBalance", "insufficient_credits"):
        assert f'"{word}"' in schema
    assert [item["name"] for item in operation["parameters"]] == ["Idempotency-Key"]


def test_an_introspection_is_described_as_a_form(document: dict[str, Any]) -> None:
    operation = _described(document)["POST /v1/introspect"]
    content = operation["requestBody"]["content"]
    assert list(content) == ["application/x-www-form-urlencoded"]
    [form] = content.values()
    assert set(form["schema"]["properties"]) == {"token", "token_type_hint"}
    assert form["schema"]["required"] == ["token"]
    said = json.dumps(operation["responses"]["200"]["content"]["application/json"]["schema"])
    assert all(f'"{name}"' in said for name in ("active", "sub", "client_id", "token_type", "iat"))


def test_who_checks_keys_is_described(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    operations = _described(document)

    def accepted(route: str) -> list[str]:
        return sorted(
            schemes[name]["scheme"] for one in operations[route]["security"] for name in one
        )

    assert accepted("POST /v1/keys/verify") == accepted("POST /v1/keys/verify-batch") == ["bearer"]
    assert accepted("POST /v1/introspect") == ["basic", "bearer"]
    assert accepted("GET /v1/forward-auth") == ["bearer"]


def test_the_page_for_people_shows_the_checks(service: Service) -> None:
    page = service.get("/docs").text
    assert [path for path in (*SERVICES, *FORWARD_AUTH) if path not in page] == []


def test_an_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in _described(document).values()]
    assert len(set(names)) == len(names)


def test_no_example_is_a_live_credential(service: Service, document: dict[str, Any]) -> None:
    assert service.operator not in json.dumps(document)
