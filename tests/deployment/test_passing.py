"""What a visitor with a good key gets through to the API, and what goes with it."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.contract.client import ABSENT_ID, Agent, Service
from tests.contract.raw import END_OF_CHUNKS, chunked, head, request

from .api import Api
from .proxies import PROXIES, running_proxy
from .stage import Stage, identity

BODIES = {
    "JSON": json.dumps({"ä": [1, None]}).encode(),
    "form": b"token=a&token=b",
    "bytes that are no text": bytes(range(256)) * 4,
    "more than Keyturn reads": b"x" * 9000,
    "a megabyte": os.urandom(1024 * 1024),
    "nothing": b"",
}
TARGETS = {
    "a query": "/v1/things?q=%20&q=b&empty=",
    "an encoded slash": "/files/a%2Fb",
    "an encoded question mark": "/files/a%3Fb?c",
    "two slashes": "//files//a",
    "dots": "/a/../b/./c",
    "encoded dots": "/a/%2e%2e/b",
    "UTF-8": "/%E7%A0%94",
    "a credential in the query": "/?api_key=sk_live_ak_0",
    "the name of Keyturn's own route": "/v1/forward-auth",
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_method_reaches_the_api(stage: Stage, agent: Agent, method: str) -> None:
    answer, [seen] = stage.call(agent.key, method)
    assert (answer.status_code, answer.headers["x-api"]) == (200, "reached")
    assert seen.method == method


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_body_reaches_the_api(stage: Stage, agent: Agent, method: str, body: bytes) -> None:
    _, [seen] = stage.call(agent.key, method, content=body, headers={"Content-Type": "a/b"})
    assert seen.body_sha256 == sha256(body).hexdigest()
    assert seen.all("content-type") == ["a/b"]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_chunked_body_reaches_the_api(stage: Stage, agent: Agent, body: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 4000):
            yield body[start : start + 4000]

    _, [seen] = stage.call(agent.key, "POST", content=pieces())
    assert seen.body_sha256 == sha256(body).hexdigest()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_target_reaches_the_api_as_it_was_written(
    stage: Stage, agent: Agent, target: str
) -> None:
    answer, [seen] = stage.send(request("GET", target, f"Authorization: Bearer {agent.key}"))
    assert answer is not None and answer.status == 200
    assert seen.target == target


def test_of_an_absolute_target_the_api_gets_path_and_query(stage: Stage, agent: Agent) -> None:
    absolute = request("GET", "http://other/a%2Fb?c", f"Authorization: Bearer {agent.key}")
    _, [seen] = stage.send(absolute)
    assert seen.target == "/a%2Fb?c"


def test_the_api_is_told_who_it_is_and_not_the_key(stage: Stage, agent: Agent) -> None:
    _, [seen] = stage.call(agent.key)
    owner = stage.keyturn.whoami(agent.key).json()["developerId"]
    [(_, agent_id), (_, name), (_, developer_id)] = identity(seen)
    assert (agent_id, developer_id) == (agent.id, owner)
    assert name.isascii() and unquote(name) == agent.name
    assert seen.all("authorization") == []
    assert not any(agent.key in value for _, value in seen.headers)


def test_one_connection_serves_many_agents_each_by_its_own_name(stage: Stage) -> None:
    agents = [stage.keyturn.register() for _ in range(3)]
    for agent in agents * 2:
        _, [seen] = stage.call(agent.key)
        assert seen.all("x-agent-id") == [agent.id]


def test_a_body_after_100_continue_reaches_the_api(stage: Stage, agent: Agent) -> None:
    asks = head(
        "POST",
        "/",
        f"Authorization: Bearer {agent.key}",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Connection: close",
    )
    answered, [seen] = stage.pour(asks, chunked(b"abc"), END_OF_CHUNKS)
    assert b" 200 OK\r\n" in answered
    assert seen.body_sha256 == sha256(b"abc").hexdigest()


@pytest.mark.parametrize("proxy", PROXIES)
def test_keyturn_is_asked_about_the_key_and_is_not_sent_the_request(
    proxy: str, api: Api, tmp_path: Path
) -> None:
    # The API stands for Keyturn, and admits nobody, because its answer names nobody.
    with running_proxy(proxy, tmp_path, keyturn=api.port, api=api.port) as port:
        spoof = {"X-Agent-Id": ABSENT_ID, "X_Agent_Id": ABSENT_ID, "X-Developer-Id": ABSENT_ID}
        answer, [asked] = Stage(proxy, port, api, Service("", "")).call(
            "key", "POST", "/path?query", content=b"body", headers={"Cookie": "a=b", **spoof}
        )
    assert answer.status_code == 503
    # Caddy adds the visitor's query, which Keyturn does not look at.
    assert (asked.method, asked.target.partition("?")[0]) == ("GET", "/v1/forward-auth")
    assert asked.body_sha256 == sha256(b"").hexdigest()
    assert asked.all("authorization") == ["Bearer key"]
    assert asked.all("x-forwarded-for") == ["127.0.0.1"]
    assert asked.all("cookie") == [] and identity(asked) == []
