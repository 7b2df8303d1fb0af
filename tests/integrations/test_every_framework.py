"""Every framework answers alike, with a remote verifier and with an embedded one."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

import httpx
import pytest

from keyturn.integrations import RemoteVerifier, Verifier
from keyturn.integrations.embedded import EmbeddedVerifier
from keyturn.settings import Settings
from keyturn.testing import Server
from tests.contract.client import CREDENTIAL, Agent, Service, after_rotation, forged
from tests.integrations.hosts import COST, HOSTS

CHALLENGE = 'Bearer realm="keyturn"'
INVALID = f'{CHALLENGE}, error="invalid_token"'


def remote(server: Server, token: str) -> Verifier:
    return RemoteVerifier(server.url, token, timeout=30)


def embedded(server: Server, _token: str) -> Verifier:
    return EmbeddedVerifier(Settings(data_dir=server.data_dir))


@pytest.fixture(
    scope="session",
    params=itertools.product(HOSTS, (remote, embedded)),
    ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}",
)
def host(request: pytest.FixtureRequest, server: Server, token: str) -> Iterator[httpx.Client]:
    start: Callable[[Verifier], AbstractContextManager[str]]
    start, verifier = request.param
    with (
        start(verifier(server, token)) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def ask(host: httpx.Client, *keys: str, path: str = "/", **headers: str) -> httpx.Response:
    sent = [("Authorization", f"Bearer {key}") for key in keys]
    return host.get(path, headers=[*sent, *headers.items()])


def assert_refused(answer: httpx.Response, status: int, code: str, challenge: str = "") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get("www-authenticate", "") == challenge
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "error"}
    assert answer.json()["status"] == status
    assert not CREDENTIAL.search(answer.text)


def test_the_handler_is_told_who_asks(host: httpx.Client, keyturn: Service, agent: Agent) -> None:
    answer = ask(host, agent.key)
    assert answer.status_code == 200
    told, known = answer.json(), keyturn.whoami(agent.key).json()
    for name in ("keyCreatedAt", "rotationDueAt"):
        assert datetime.fromisoformat(told.pop(name)) == datetime.fromisoformat(known[name])
    assert told.items() <= known.items()
    assert len(told) == 5


def test_a_request_without_a_key_is_asked_for_one(host: httpx.Client) -> None:
    assert_refused(ask(host), 401, "invalid_credentials", CHALLENGE)


@pytest.mark.parametrize(
    "header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer a b", "", "ApiKey x", "\xff"]
)
def test_what_is_no_bearer_header_is_no_key(host: httpx.Client, header: str) -> None:
    answer = host.get("/", headers=[(b"authorization", header.encode("latin-1"))])
    assert_refused(answer, 401, "invalid_credentials", CHALLENGE)


def test_two_keys_are_none_even_if_both_are_good(
    host: httpx.Client, keyturn: Service, agent: Agent
) -> None:
    other = keyturn.register()
    for keys in ((agent.key, other.key), (agent.key, agent.key), (agent.key, forged("ak"))):
        assert_refused(ask(host, *keys), 401, "invalid_credentials", CHALLENGE)


def test_a_key_that_nobody_issued_is_refused(host: httpx.Client) -> None:
    assert_refused(ask(host, forged("ak")), 401, "invalid_credentials", INVALID)


def test_a_service_token_is_no_key(host: httpx.Client, token: str) -> None:
    assert_refused(ask(host, token), 401, "invalid_credentials", INVALID)


def test_a_key_in_the_query_or_a_cookie_is_none(host: httpx.Client, agent: Agent) -> None:
    answer = host.get(f"/?access_token={agent.key}", headers={"Cookie": f"key={agent.key}"})
    assert_refused(answer, 401, "invalid_credentials", CHALLENGE)


def test_a_rotated_key_is_refused_with_the_next_request(
    host: httpx.Client, keyturn: Service, agent: Agent
) -> None:
    before = ask(host, agent.key)
    renewed = after_rotation(agent, keyturn.rotate(agent.key, agent.secret))
    assert_refused(ask(host, agent.key), 401, "invalid_credentials", INVALID)
    after = ask(host, renewed.key)
    assert (before.json()["generation"], after.json()["generation"]) == (1, 2)


def test_a_revoked_agent_is_told_so(host: httpx.Client, keyturn: Service, agent: Agent) -> None:
    ask(host, agent.key).raise_for_status()
    keyturn.post(f"/v1/agents/{agent.id}/revoke", keyturn.operator, json={}).raise_for_status()
    assert_refused(ask(host, agent.key), 403, "agent_revoked")


def test_a_cost_is_taken_once_for_each_request_and_never_below_0(
    host: httpx.Client, keyturn: Service, agent: Agent
) -> None:
    paid = ask(host, agent.key, path="/costly")
    assert_refused(ask(host, agent.key, path="/costly"), 403, "insufficient_credits")
    answers = (paid, ask(host, agent.key), keyturn.whoami(agent.key))
    assert [answer.json()["creditBalance"] for answer in answers] == [100 - COST] * 3


def test_a_refused_request_costs_nothing(host: httpx.Client, agent: Agent) -> None:
    assert_refused(ask(host, path="/costly"), 401, "invalid_credentials", CHALLENGE)
    assert_refused(ask(host, forged("ak"), path="/costly"), 401, "invalid_credentials", INVALID)
    answer = ask(host, agent.key)
    assert answer.json()["creditBalance"] == 100


SPOOFED = dict.fromkeys(
    ("X-Agent-Id", "X-Developer-Id", "Agent", "X-Agent", "Remote-User", "Agent-Id"),
    "280af1d0-66c4-49c9-b6f1-f64046ef8cfc",
)


def test_headers_do_not_tell_who_asks(host: httpx.Client, agent: Agent) -> None:
    spoofed, plain = ask(host, agent.key, **SPOOFED), ask(host, agent.key)
    assert spoofed.json() == plain.json()
    assert_refused(ask(host, **SPOOFED), 401, "invalid_credentials", CHALLENGE)
