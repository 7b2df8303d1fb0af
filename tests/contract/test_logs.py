"""Sections 1 and 8: logs are structured, have the request id, and never a credential."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.testing import Server, running_server

from .client import Service, eventually, forged
from .conftest import PROXIES, service_of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that logs everything it has to say."""
    with running_server(trusted_proxies=PROXIES, log_level="debug") as started:
        yield started


@pytest.fixture(scope="module")
def logged(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


def _lines_about(server: Server, request_id: str) -> list[dict[str, object]]:
    found = [line for line in server.log_path.read_text().splitlines() if request_id in line]
    return [json.loads(line) for line in found]


def test_a_request_has_a_structured_line_with_its_id(server: Server, logged: Service) -> None:
    agent = logged.register()
    for answer in (
        logged.rotate(agent.key, agent.secret, address="203.0.113.21"),
        logged.rotate(agent.key, agent.secret, address="203.0.113.21"),
        logged.get("/v1/nothing", address="203.0.113.21"),
    ):
        request_id = answer.headers["x-request-id"]
        # The line may come after the answer.
        text = json.dumps(eventually(functools.partial(_lines_about, server, request_id)))
        assert str(answer.status_code) in text
        assert "203.0.113.21" in text


def _files(server: Server) -> list[Path]:
    return [server.log_path, *(p for p in server.data_dir.iterdir() if p.name != "server-key")]


def test_credentials_in_odd_places_are_written_nowhere(server: Server, logged: Service) -> None:
    developer = logged.create_developer()
    agent = logged.create_agent(developer.token)
    key = agent.key
    path = "/v1/agents/self/rotate-key"
    body = {"rotationSecret": agent.secret}
    odd = [
        logged.get("/v1/agents/self", params={"key": key}),
        logged.get(f"/v1/agents/{key}", developer.token),
        logged.get(f"/{key}"),
        logged.get("/v1/agents/self", headers={"Authorization": f"Basic {key}"}),
        logged.get("/v1/agents/self", headers={"Cookie": key, "Referer": key, "X-Api-Key": key}),
        logged.post(path, key, json={"rotationSecret": ["a", agent.secret]}),
        logged.post(path, key, json={**body, "apiKey": key}, headers={"Idempotency-Key": key[:20]}),
        logged.rotate(key, forged("rs"), headers={"User-Agent": f"client/{key}"}),
        logged.post("/v1/auth/agent-register", json={"name": f"\x00{key}", "enrolmentToken": key}),
        logged.get("/v1/audit", developer.token, params={"agentId": key}),
        logged.get("/v1/audit", developer.token, params={"from": agent.secret}),
        logged.post(f"/v1/agents/{agent.id}/revoke", developer.token, json={"reason": key}),
        logged.post("/v1/developers", logged.operator, json={"email": f"{key}@example.com"}),
        logged.post("/v1/service-tokens", developer.token, json={"name": key}),
        logged.post("/v1/agents", developer.token, json={"name": key[:100]}),
    ]
    assert all(answer.status_code < 500 for answer in odd)
    assert [n for n, answer in enumerate(odd) if key in answer.text] == []
    trail = json.dumps(logged.audit())
    assert (key in trail, agent.secret in trail) == (False, False)
    for file in _files(server):
        held = file.read_bytes()
        found = [
            name for name, text in (("key", key), ("secret", agent.secret)) if text.encode() in held
        ]
        assert (file.name, found) == (file.name, [])


def test_no_credential_of_the_run_is_in_the_logs_or_the_trail(
    server: Server, logged: Service
) -> None:
    developer = logged.create_developer()
    agent = logged.create_agent(developer.token)
    rotated = logged.rotate(agent.key, agent.secret).json()
    path = f"/v1/agents/{agent.id}"
    again = logged.post(f"{path}/rotate-key", developer.token).json()
    configured = logged.post(f"{path}/rotation-secret", developer.token).json()
    tokens = [
        logged.create_token(kind, developer.token)["token"]
        for kind in ("developer", "service", "enrolment")
    ]
    unknown = [forged("ak"), forged("rs"), forged("dt"), forged("en")]
    logged.rotate(unknown[0], unknown[1])
    logged.get("/v1/agents", unknown[2])
    logged.post("/v1/auth/agent-register", json={"enrolmentToken": unknown[3]})
    given = [agent.key, agent.secret, developer.token, configured["rotationSecret"], *tokens]
    given += [made[name] for made in (rotated, again) for name in ("apiKey", "rotationSecret")]
    idempotency_key = "an-idempotency-key-of-this-test"
    headers = {"Idempotency-Key": idempotency_key}
    logged.rotate(again["apiKey"], configured["rotationSecret"], headers=headers)
    trail = json.dumps(logged.audit()).encode()
    held = b"".join(file.read_bytes() for file in _files(server)) + trail
    texts = [*given, *unknown, idempotency_key]
    assert [number for number, text in enumerate(texts) if text.encode() in held] == []


def test_an_unknown_failure_would_be_the_only_traceback(server: Server, logged: Service) -> None:
    assert logged.get("/readyz").status_code == 200
    assert "Traceback" not in server.log_path.read_text()
