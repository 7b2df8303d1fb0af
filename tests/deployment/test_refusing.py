"""Who is not let through, what they are told, and that the API never hears of them."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyturn.testing import running_server
from tests.contract.client import HTTP, Agent, Service, after_rotation, forged
from tests.contract.raw import connected, request

from .api import Api
from .conftest import port_of
from .proxies import PROXIES, free_port, running_proxy
from .stage import Stage

UNAUTHORIZED = 'Bearer realm="keyturn"'
INVALID = UNAUTHORIZED + ', error="invalid_token"'
NOT_KEYS = {
    "nothing": ({}, UNAUTHORIZED),
    "another scheme": ({"Authorization": "Basic dTpw"}, UNAUTHORIZED),
    "an empty header": ({"Authorization": ""}, UNAUTHORIZED),
    "Bearer alone": ({"Authorization": "Bearer"}, UNAUTHORIZED),
    "a word": ({"Authorization": "Bearer word"}, INVALID),
    "a key that nobody issued": ({"Authorization": f"Bearer {forged('ak')}"}, INVALID),
    "a rotation secret that nobody issued": ({"Authorization": f"Bearer {forged('rs')}"}, INVALID),
    "two words": ({"Authorization": "Bearer two words"}, None),
    "another header": ({"X-Api-Key": forged("ak")}, UNAUTHORIZED),
    "who it claims to be": ({"X-Agent-Id": "00000000-0000-4000-8000-000000000001"}, UNAUTHORIZED),
}
# Whatever else listens there.
ODD_ANSWERS = {
    "nothing": b"",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "half an answer": b"HTTP/1.1 2",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "200 for nobody": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an internal error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
}


def assert_refused(answer: httpx.Response, own: httpx.Response) -> None:
    """The answer tells what Keyturn's own does."""
    assert answer.status_code == own.status_code
    assert answer.headers["content-type"] == own.headers["content-type"]
    for name in ("www-authenticate", "retry-after"):
        assert answer.headers.get(name) == own.headers.get(name)
    told, meant = answer.json(), own.json()
    for name in ("type", "title", "status", "code", "detail"):
        assert told[name] == meant[name]


def assert_undecided(answer: httpx.Response) -> None:
    """The visitor may try again later."""
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "unavailable"


@pytest.mark.parametrize(("headers", "challenge"), NOT_KEYS.values(), ids=NOT_KEYS)
def test_what_is_no_key_is_401(
    stage: Stage, headers: dict[str, str], challenge: str | None
) -> None:
    answer, seen = stage.call(headers=headers)
    own = stage.keyturn.get("/v1/forward-auth", headers=headers)
    assert answer.status_code == 401 and seen == []
    assert answer.headers["www-authenticate"] == challenge or challenge is None
    assert_refused(answer, own)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_no_method_gets_by_without_a_key(stage: Stage, method: str) -> None:
    answer, seen = stage.call(method=method, content=b"body" if method != "HEAD" else None)
    assert answer.status_code == 401 and seen == []


def test_a_revoked_agent_is_403_from_its_next_request(stage: Stage, agent: Agent) -> None:
    assert stage.call(agent.key)[0].status_code == 200
    stage.keyturn.revoke_self(agent.key, agent.secret).raise_for_status()
    answer, seen = stage.call(agent.key)
    assert answer.status_code == 403 and seen == []
    assert_refused(answer, stage.keyturn.get("/v1/forward-auth", agent.key))


def test_a_rotated_key_is_dead_at_once_on_the_connection_that_it_was_used_on(
    stage: Stage, agent: Agent
) -> None:
    with connected(stage.visited) as connection:

        def status(key: str) -> int:
            connection.send(request("POST", "/", f"Authorization: Bearer {key}", body=b"x"))
            answer = connection.answer()
            assert answer is not None
            return answer.status

        assert status(agent.key) == 200
        rotated = after_rotation(agent, stage.keyturn.rotate(agent.key, agent.secret))
        assert [status(agent.key), status(rotated.key), status(agent.key)] == [401, 200, 401]
        stage.keyturn.revoke_self(rotated.key, rotated.secret).raise_for_status()
        assert status(rotated.key) == 403


def test_without_keyturn_nobody_passes_until_it_is_back(
    proxy: str, api: Api, tmp_path: Path
) -> None:
    with (
        running_server() as server,
        running_proxy(proxy, tmp_path, keyturn=server.port, api=api.port) as port,
    ):
        stage = Stage(proxy, port, api, Service(server.url, "", proxied=False))
        agent = stage.keyturn.register()
        assert stage.call(agent.key)[0].status_code == 200
        server.stop()
        for content in (b"", b"body"):
            answer, seen = stage.call(agent.key, "POST", content=content)
            assert_undecided(answer)
            assert seen == []
        assert agent.key not in (tmp_path / "log").read_text()
        server.start()
        assert stage.call(agent.key)[0].status_code == 200


def test_an_api_that_is_down_is_502_to_those_who_may_pass(
    proxy: str, agent: Agent, keyturn: Service, tmp_path: Path
) -> None:
    with running_proxy(proxy, tmp_path, keyturn=port_of(keyturn), api=free_port()) as port:
        url = f"http://127.0.0.1:{port}/"
        allowed = HTTP.get(url, headers={"Authorization": f"Bearer {agent.key}"})
        assert (allowed.status_code, HTTP.get(url).status_code) == (502, 401)


def test_a_keyturn_that_accepts_and_never_answers_is_503(
    proxy: str, api: Api, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keyturn = silent.getsockname()[1]
        with running_proxy(proxy, tmp_path, keyturn=keyturn, api=api.port) as port:
            answer, seen = Stage(proxy, port, api, Service("", "")).call(forged("ak"))
    assert_undecided(answer)
    assert seen == []


@pytest.mark.parametrize("odd", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_nothing_but_keyturns_200_lets_a_visitor_pass(
    proxy: str, api: Api, tmp_path: Path, odd: bytes
) -> None:
    with (
        answering(odd) as keyturn,
        running_proxy(proxy, tmp_path, keyturn=keyturn, api=api.port) as port,
    ):
        answer, seen = Stage(proxy, port, api, Service("", "")).call(forged("ak"))
    assert_undecided(answer)
    assert seen == []


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that answers every request so, and hangs up."""

    class Odd(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> Any:
    """Each proxy's name, for a test that starts it itself."""
    return request.param
