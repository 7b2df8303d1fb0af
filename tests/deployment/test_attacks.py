"""What a visitor may try: to be somebody else, to be elsewhere, to slip by unseen."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keyturn.testing import running_server
from tests.contract.client import Agent, Service, after_rotation, eventually, forged
from tests.contract.raw import END_OF_CHUNKS, chunked, head, request

from .api import Api
from .proxies import PROXIES, running_proxy
from .stage import Stage, identity

FORGED = "00000000-0000-4000-8000-000000000001"
SPOOFS = {
    "the headers": ("X-Agent-Id: {}", "X-Agent-Name: {}", "X-Developer-Id: {}"),
    "in odd case": ("x-AGENT-iD: {}", "X-AGENT-NAME: {}", "x-developer-id: {}"),
    "with underscores": ("X_Agent_Id: {}", "X_Agent_Name: {}", "X_Developer_Id: {}"),
    "with one underscore": ("X_Agent-Id: {}", "X-Agent_Name: {}", "x-developer_id: {}"),
    "underscores in odd case": ("x_AGENT_iD: {}", "x_agent-NAME: {}", "X_DEVELOPER_ID: {}"),
    "twice": ("X-Agent-Id: {}", "X-Agent-Id: {}", "X-Developer-Id: {}", "X-Developer-Id: {}"),
    "as a list": ("X-Agent-Id: {}, {}", "X-Agent-Name: {}, {}"),
    "empty": ("X-Agent-Id:", "X-Agent-Name:", "X-Developer-Id:"),
    "named by Connection": ("Connection: X-Agent-Id, X-Agent-Name, X-Developer-Id",),
    "forged and named": ("Connection: keep-alive, X-Agent-Id", "X-Agent-Id: {}", "X_Agent_Id: {}"),
}
# Perhaps no request at all: then nothing may pass, else the truth alone.
MALFORMED = {
    "a space before the colon": ("X-Agent-Id : {}",),
    "a folded line": ("X-Other: a", " X-Agent-Id: {}"),
    "a folded line of ours": ("X-Agent-Id: a", " {}"),
    "a bare carriage return": ("X-Other: a\rX-Agent-Id: {}",),
    "a bare line feed": ("X-Other: a\nX-Agent-Id: {}",),
    "a zero byte": ("X-Agent-Id\0: {}",),
    "no colon": ("X-Agent-Id",),
}
# All with a good key. Each hides a second request behind a first whose end is in doubt.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"
SMUGGLED = {
    "length, then chunked": (
        f"Content-Length: {len(HIDDEN) + 5}",
        "Transfer-Encoding: chunked",
    ),
    "chunked, then length": ("Transfer-Encoding: chunked", "Content-Length: 5"),
    "a shorter length": ("Content-Length: 0", "Transfer-Encoding: chunked"),
    "chunked in other words": ("Transfer-Encoding: x, chunked", "Content-Length: 5"),
    "chunked with a tab": ("Transfer-Encoding:\tchunked", "Content-Length: 5"),
    "chunked after a space": ("Transfer-Encoding : chunked", "Content-Length: 5"),
    "chunked with an underscore": ("Transfer_Encoding: chunked", "Content-Length: 5"),
    "chunked twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "two lengths": ("Content-Length: 5", f"Content-Length: {len(HIDDEN) + 5}"),
    "a signed length": ("Content-Length: +5",),
    "a list of lengths": ("Content-Length: 5, 5",),
    "a length alone": ("Content-Length: 5",),
    "a length hidden by Connection": ("Connection: Content-Length", "Content-Length: 5"),
    "an upgrade": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"),
}
CREDENTIALS = {
    "two good ones": ("Authorization: Bearer {0}", "Authorization: Bearer {0}"),
    "a bad one first": ("Authorization: Bearer {1}", "Authorization: Bearer {0}"),
    "a bad one last": ("Authorization: Bearer {0}", "Authorization: Bearer {1}"),
    "a hundred": ("Authorization: Bearer {0}",) * 100,
    "in one line": ("Authorization: Bearer {0}, Bearer {0}",),
    "in another header": ("Proxy-Authorization: Bearer {0}", "X-Api-Key: {0}"),
    "with an underscore": ("Authorization_: Bearer {0}",),
    "taken away by Connection": ("Authorization: Bearer {1}", "Connection: Authorization"),
    "30 KB of it": ("Authorization: Bearer {0}" + "x" * 30_000,),
    "a megabyte of it": ("Authorization: Bearer {0}" + "x" * 1_000_000,),
}


def lines(templates: tuple[str, ...], *values: str) -> list[str]:
    """The header lines with the values in them."""
    return [template.replace("{}", values[0]).format(*values) for template in templates]


@pytest.fixture
def truth(stage: Stage, agent: Agent) -> list[tuple[str, str]]:
    """What the API must be told of the agent."""
    _, [seen] = stage.call(agent.key)
    assert ("x-agent-id", agent.id) in identity(seen) and len(identity(seen)) == 3
    return identity(seen)


@pytest.mark.parametrize("spoof", SPOOFS.values(), ids=SPOOFS)
def test_nobody_can_say_that_they_are_somebody_else(
    stage: Stage, agent: Agent, truth: list[tuple[str, str]], spoof: tuple[str, ...]
) -> None:
    sent = request("POST", "/", f"Authorization: Bearer {agent.key}", *lines(spoof, FORGED))
    _, [seen] = stage.send(sent)
    assert identity(seen) == truth


@pytest.mark.parametrize("spoof", MALFORMED.values(), ids=MALFORMED)
def test_nor_with_what_is_not_quite_http(
    stage: Stage, agent: Agent, truth: list[tuple[str, str]], spoof: tuple[str, ...]
) -> None:
    sent = request("POST", "/", f"Authorization: Bearer {agent.key}", *lines(spoof, FORGED))
    answer, seen = stage.send(sent)
    assert answer is not None and answer.status in (200, 400)
    assert all(identity(each) == truth for each in seen)


def test_nor_in_a_trailer(stage: Stage, agent: Agent, truth: list[tuple[str, str]]) -> None:
    asks = head(
        "POST",
        "/",
        f"Authorization: Bearer {agent.key}",
        "Transfer-Encoding: chunked",
        "Trailer: X-Agent-Id",
    )
    _, [seen] = stage.send(asks, chunked(b"abc"), f"0\r\nX-Agent-Id: {FORGED}\r\n\r\n".encode())
    assert identity(seen) == truth


@pytest.mark.parametrize("sent", CREDENTIALS.values(), ids=CREDENTIALS)
def test_only_one_good_key_in_its_place_lets_a_visitor_pass(
    stage: Stage, agent: Agent, sent: tuple[str, ...]
) -> None:
    answer, seen = stage.send(request("GET", "/", *lines(sent, agent.key, forged("ak"))))
    assert answer is None or answer.status in (400, 401, 431)
    assert seen == []


@pytest.mark.parametrize("framing", SMUGGLED.values(), ids=SMUGGLED)
def test_what_hides_behind_a_request_needs_a_key_of_its_own(
    stage: Stage, agent: Agent, framing: tuple[str, ...]
) -> None:
    asks = head("POST", "/shown", f"Authorization: Bearer {agent.key}", *framing)
    # Twice, because the first may be taken for a body; what is left must end the connection.
    _, seen = stage.pour(asks, END_OF_CHUNKS, HIDDEN, HIDDEN)
    assert [each.target for each in seen] in ([], ["/shown"])


@pytest.mark.parametrize(
    "target",
    ["/a%2F..%2Fb", "/../x", "//", "/_keyturn", "/%5Fkeyturn", "http://api/", "*", "/?a=/../"],
)
def test_no_path_gets_by_without_a_key(stage: Stage, target: str) -> None:
    for method in ("GET", "OPTIONS"):
        _, seen = stage.pour(request(method, target, "Connection: close"))
        assert seen == []


@pytest.mark.parametrize("target", ["/_keyturn", "/%5Fkeyturn", "/v1/forward-auth"])
def test_keyturns_answer_itself_is_not_to_be_had(stage: Stage, agent: Agent, target: str) -> None:
    answer, _ = stage.call(agent.key, target=target)
    assert "x-agent-id" not in answer.headers


def test_a_huge_header_beside_a_good_key_does_not_pass(stage: Stage, agent: Agent) -> None:
    sent = request("GET", "/", f"Authorization: Bearer {agent.key}", "X-Huge: " + "x" * 100_000)
    answer, seen = stage.send(sent)
    assert answer is not None and answer.status in (400, 401)
    assert seen == []
    assert stage.call(agent.key)[0].status_code == 200


def _last_address(stage: Stage, agent_id: str) -> str | None:
    seen = stage.keyturn.get(f"/v1/agents/{agent_id}", stage.keyturn.operator).json()
    found: str | None = seen["lastUsedAddress"]
    return found


@pytest.fixture(scope="module", params=PROXIES)
def distrusted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, api: Api
) -> Iterator[Stage]:
    """An example in front of a Keyturn that trusts no proxy."""
    with running_server() as server:
        operator = server.create_developer("operator@example.com", operator=True)
        folder = tmp_path_factory.mktemp(request.param)
        with running_proxy(request.param, folder, keyturn=server.port, api=api.port) as port:
            keyturn = Service(server.url, operator.token, proxied=False)
            yield Stage(request.param, port, api, keyturn)


def reuse_from_elsewhere(stage: Stage) -> dict[str, Any]:
    """The trail's entry of a retired key, and then the new one, that came from 127.0.0.2."""
    agent = stage.keyturn.register()
    rotated = after_rotation(agent, stage.keyturn.rotate(agent.key, agent.secret))
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=elsewhere, headers={**claims, "User-Agent": "visitor"}) as client:
        for key, status in ((agent.key, 401), (rotated.key, 200)):
            answer = client.get(stage.url, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
    [entry] = eventually(lambda: stage.keyturn.audit(agentId=agent.id, action="credential.reused"))
    return entry


def test_the_trail_and_the_last_use_have_the_visitors_address_whatever_they_claim(
    stage: Stage,
) -> None:
    entry = reuse_from_elsewhere(stage)
    assert (entry["address"], entry["userAgent"]) == ("127.0.0.2", "visitor")
    agent = entry["agentId"]
    assert eventually(lambda: _last_address(stage, agent) == "127.0.0.2")


def test_a_proxy_that_is_not_trusted_can_not_speak_for_its_visitors(distrusted: Stage) -> None:
    assert reuse_from_elsewhere(distrusted)["address"] == "127.0.0.1"


def test_the_api_too_gets_the_address_of_the_visitor_alone(stage: Stage, agent: Agent) -> None:
    _, [seen] = stage.call(agent.key, headers={"X-Forwarded-For": "203.0.113.9"})
    assert seen.all("x-forwarded-for") == ["127.0.0.1"]
