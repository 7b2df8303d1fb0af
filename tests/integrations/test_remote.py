"""A remote verifier when Keyturn is not there, is slow, or is something else."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest

from keyturn.client import InvalidInput
from keyturn.integrations import AgentIdentity, Refusal, RemoteVerifier, Verifier
from keyturn.integrations.verifier import OnUnavailable
from keyturn.testing import Server, running_server
from tests.contract.client import Agent, Service, forged
from tests.integrations.hosts import HOSTS
from tests.integrations.serving import dripping, nobody, silent, stranger
from tests.integrations.test_every_framework import ask, assert_refused

KEY = forged("ak")
TOKEN = forged("sv")
INVALID = b'{"valid": false, "code": "invalid"}'
JSON = {"content-type": "application/json"}

Host = Callable[[Verifier], AbstractContextManager[str]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, at the finest level."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def admitted(
    url: str, *, key: str = KEY, on_unavailable: OnUnavailable = "deny", timeout: float = 20
) -> AgentIdentity | Refusal | None:
    async def admit() -> AgentIdentity | Refusal | None:
        verifier = RemoteVerifier(url, TOKEN, timeout=timeout, on_unavailable=on_unavailable)
        async with verifier.lifespan():
            return await verifier.admit([f"Bearer {key}"], cost=1)

    return asyncio.run(admit())


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_where_nobody_answers_requests_are_refused_with_503(host: Host) -> None:
    with host(RemoteVerifier(nobody(), TOKEN)) as url, httpx.Client(base_url=url) as client:
        for path in ("/", "/costly"):
            answer = ask(client, KEY, path=path)
            assert_refused(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_where_that_was_chosen_they_pass_without_an_identity(
    host: Host, log: pytest.LogCaptureFixture
) -> None:
    verifier = RemoteVerifier(nobody(), TOKEN, on_unavailable="allow")
    with host(verifier) as url, httpx.Client(base_url=url) as client:
        answer = ask(client, KEY)
        assert (answer.status_code, answer.json()) == (200, {"agentId": None})
        assert "could not be checked" in log.text
        assert ask(client).status_code == 401
        assert ask(client, KEY[:-1]).status_code == 401


@pytest.mark.parametrize("there", [silent, dripping])
@pytest.mark.parametrize(
    ("choice", "outcome"), [("deny", Refusal.UNAVAILABLE), ("allow", None)], ids=["deny", "allow"]
)
def test_an_answer_that_takes_too_long_is_none(
    there: Callable[[], AbstractContextManager[str]],
    choice: OnUnavailable,
    outcome: Refusal | None,
) -> None:
    with there() as url:
        assert admitted(url, on_unavailable=choice, timeout=0.5) is outcome


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_without_keyturn_behind_it_is_no_answer(status: int) -> None:
    with stranger(lambda _: (status, {}, b"")) as it:
        assert admitted(it.url) is Refusal.UNAVAILABLE
        assert admitted(it.url, on_unavailable="allow") is None


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        pytest.param(200, JSON, b"{}", id="an empty object"),
        pytest.param(200, JSON, b'{"valid": true}', id="an agent without members"),
        pytest.param(200, JSON, b'{"valid": false, "code": "tired"}', id="an unknown code"),
        pytest.param(200, JSON, b'{"valid": 1, "code": "invalid"}', id="no boolean"),
        pytest.param(200, JSON, b"[" * 20_000, id="no JSON"),
        pytest.param(200, {"content-type": "text/html"}, b"<h1>Welcome", id="a page"),
        pytest.param(204, {}, b"", id="nothing"),
        pytest.param(307, {"location": "/elsewhere"}, b"", id="a redirection"),
        pytest.param(400, JSON, INVALID, id="a refusal that looks like a verdict"),
        pytest.param(401, JSON, b"{}", id="a refused service token"),
        pytest.param(404, JSON, b"{}", id="another service"),
        pytest.param(413, JSON, b"{}", id="too large"),
        pytest.param(429, JSON, b"{}", id="too often"),
        pytest.param(500, JSON, b"{}", id="a failure"),
    ],
)
@pytest.mark.parametrize("choice", ["deny", "allow"])
def test_an_answer_that_decides_nothing_lets_nobody_pass(
    status: int, headers: dict[str, str], body: bytes, choice: OnUnavailable
) -> None:
    with stranger(lambda _: (status, headers, body)) as it:
        assert admitted(it.url, on_unavailable=choice) is Refusal.UNUSABLE_ANSWER
        assert [path for path, _ in it.asked] == ["/v1/keys/verify"]


def test_a_redirection_to_another_address_gets_neither_token_nor_key() -> None:
    with stranger(lambda _: (200, JSON, INVALID)) as thief:
        away = {"location": f"{thief.url}/v1/keys/verify"}
        with stranger(lambda _: (307, away, b"")) as it:
            assert admitted(it.url) is Refusal.UNUSABLE_ANSWER
        assert thief.asked == []


def test_a_service_token_that_keyturn_refuses_lets_nobody_pass(
    server: Server, agent: Agent, log: pytest.LogCaptureFixture
) -> None:
    for choice in ("deny", "allow"):
        found = admitted(server.url, key=agent.key, on_unavailable=choice)
        assert found is Refusal.UNUSABLE_ANSWER
    assert "status 401 invalid_token" in log.text


@pytest.mark.parametrize(
    "key",
    [KEY[:-1], KEY + "0", forged("rs"), forged("ak", "a" * 33), "x", KEY[:-6] + "000000"],
    ids=["cut", "longer", "a secret", "a long prefix", "a letter", "a wrong checksum"],
)
def test_what_nobody_could_have_issued_is_refused_without_a_call(key: str) -> None:
    with stranger(lambda _: (503, {}, b"")) as it:
        assert admitted(it.url, key=key, on_unavailable="allow") is Refusal.INVALID
        assert it.asked == []


def test_a_connection_that_the_server_has_closed_is_no_failure() -> None:
    with stranger(lambda it: (200, JSON, INVALID) if len(it.asked) != 2 else None) as it:

        async def admit_twice(verifier: Verifier) -> list[AgentIdentity | Refusal | None]:
            async with verifier.lifespan():
                return [await verifier.admit([f"Bearer {KEY}"], cost=1) for _ in range(2)]

        found = asyncio.run(admit_twice(RemoteVerifier(it.url, TOKEN)))
    assert found == [Refusal.INVALID] * 2
    first, second, again = (headers["idempotency-key"] for _, headers in it.asked)
    assert first != second and second == again


def test_a_cost_whose_answers_are_lost_is_taken_once() -> None:
    with running_server(unreliable=0) as server:
        operator = server.create_developer("operator@example.com", operator=True)
        keyturn = Service(server.url, operator.token, proxied=False)
        agent = keyturn.register()
        token = keyturn.create_token("service", keyturn.operator)["token"]
        server.stop()
        server.unreliable = 100
        server.start()

        async def pay() -> AgentIdentity | Refusal:
            verifier = RemoteVerifier(server.url, token, timeout=20)
            async with verifier.lifespan():
                return await verifier.verify(agent.key, cost=30)

        assert asyncio.run(pay()) is Refusal.UNAVAILABLE
        assert keyturn.whoami(agent.key).json()["creditBalance"] == 70


def test_a_restart_of_keyturn_goes_unnoticed() -> None:
    with running_server() as server:
        operator = server.create_developer("operator@example.com", operator=True)
        keyturn = Service(server.url, operator.token, proxied=False)
        agent = keyturn.register()
        token = keyturn.create_token("service", keyturn.operator)["token"]

        async def before_and_after() -> list[AgentIdentity | Refusal]:
            verifier = RemoteVerifier(server.url, token, timeout=20)
            async with verifier.lifespan():
                before = await verifier.verify(agent.key)
                await asyncio.to_thread(server.restart)
                return [before, await verifier.verify(agent.key)]

        before, after = asyncio.run(before_and_after())
        assert isinstance(before, AgentIdentity) and before == after


def test_nothing_that_is_secret_is_shown(
    server: Server, agent: Agent, token: str, log: pytest.LogCaptureFixture
) -> None:
    verifier = RemoteVerifier(server.url, token)

    async def ask() -> None:
        async with verifier.lifespan():
            for key in (agent.key, forged("ak"), agent.secret, "x"):
                await verifier.admit([f"Bearer {key}"], cost=1)

    asyncio.run(ask())
    for url in (nobody(), server.url):
        admitted(url, key=agent.key, on_unavailable="allow")
    shown = log.text + repr(verifier) + str(vars(verifier))
    for secret in (token, TOKEN, agent.key, agent.secret):
        assert (secret[12:-4] in shown) is False


@pytest.mark.parametrize(
    "token",
    [TOKEN[:-1], forged("ak"), forged("dt"), "", "secret-" * 9],
    ids=["cut", "an API key", "a developer token", "empty", "something else"],
)
def test_a_service_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidInput, match="service token") as caught:
        RemoteVerifier("https://keys.example.com", token)
    frames = list(traceback.walk_tb(caught.value.__traceback__))
    ours = [frame for frame, _ in frames if "integrations/remote" in frame.f_code.co_filename]
    assert ours
    assert all(token not in map(str, frame.f_locals.values()) for frame in ours)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["keys.example.com", "ftp://keys.example.com", "https://user:pass@keys.example.com", ""],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="address"):
        RemoteVerifier(url, TOKEN)


def test_keys_cross_no_network_readable_unless_that_is_allowed() -> None:
    with pytest.raises(InvalidInput, match="allow_http"):
        RemoteVerifier("http://keyturn:8787", TOKEN)
    assert repr(RemoteVerifier("http://keyturn:8787/", TOKEN, allow_http=True)) == (
        "<RemoteVerifier http://keyturn:8787>"
    )


def test_a_choice_that_is_mistyped_is_refused() -> None:
    with pytest.raises(ValueError, match="on_unavailable"):
        RemoteVerifier("http://localhost", TOKEN, on_unavailable="alow")  # type: ignore[arg-type]


def test_a_proxy_of_the_environment_reads_nothing(
    server: Server, agent: Agent, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stranger(lambda _: (502, {}, b"")) as proxy, contextlib.ExitStack() as stack:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        stack.callback(monkeypatch.undo)

        async def ask() -> AgentIdentity | Refusal:
            verifier = RemoteVerifier(server.url, token)
            async with verifier.lifespan():
                return await verifier.verify(agent.key)

        assert isinstance(asyncio.run(ask()), AgentIdentity)
        assert proxy.asked == []


def test_a_stranger_is_told_nothing_but_the_question() -> None:
    with stranger(lambda _: (200, JSON, INVALID)) as it:
        assert admitted(it.url) is Refusal.INVALID
        ((path, headers),) = it.asked
    assert path == "/v1/keys/verify"
    assert headers["authorization"] == f"Bearer {TOKEN}"
