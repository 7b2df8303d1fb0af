"""Section 6: whatever a visitor sends, a proxy hears 200, 401, 403 or 503, and the right one."""

import json
from collections.abc import Iterator

import pytest

from .checks import FORWARD
from .client import Agent, Service, forged
from .raw import Answer, chunked, connected, exchange, head, request

SIZES = [0, 1, 8192, 8193, 100_000]


def _status(answer: Answer | None) -> int | None:
    return None if answer is None else answer.status


def _hears(service: Service, statuses: set[int | None], *pieces: bytes) -> None:
    """The answer has one of these statuses. A failure does not show what was sent."""
    __tracebackhide__ = True
    status = _status(exchange(service, *pieces))
    assert status in statuses


QUERIES = {
    "a credential": "?x={}",
    "an access token": "?access_token={}",
    "a parameter twice": "?a=1&a=2",
    "broken escapes": "?%&%%&%zz=%f&=&&;",
    "no UTF-8": "?%ff%fe=%c3",
    "a question mark only": "?",
    "thousands of parameters": "?" + "&".join(f"p{number}=1" for number in range(3000)),
    "one long value": "?q=" + "x" * 16_000,
    "JSON": '?{{"a":1,"a":2}}',
}


@pytest.mark.parametrize("case", QUERIES)
def test_query_strings_are_not_looked_at(service: Service, agent: Agent, case: str) -> None:
    query = QUERIES[case].format(agent.key)
    bearer = f"Authorization: Bearer {agent.key}"
    _hears(service, {200}, request("GET", FORWARD + query, bearer))
    _hears(service, {200}, request("POST", FORWARD + "/x" + query, bearer))
    _hears(service, {401}, request("GET", FORWARD + query))


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 5000):
        yield body[start : start + 5000]


BODIES = {
    "a duplicate member": b'{"a": 1, "a": 2}',
    "broken JSON": b'{"a": ',
    "binary": bytes(range(256)) * 8,
    "a credential": json.dumps({"key": forged("ak")}).encode(),
    "a form with a file": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    "a request": b"GET /v1/agents HTTP/1.1\r\nHost: keyturn\r\n\r\n",
}
TYPES = ["application/json", "multipart/form-data; boundary=x", "nonsense", ""]


@pytest.mark.parametrize("case", BODIES)
def test_bodies_are_not_looked_at(service: Service, agent: Agent, case: str) -> None:
    for kind in TYPES:
        headers = {"Content-Type": kind}
        for content in (BODIES[case], _pieces(BODIES[case])):
            answer = service.forward(agent.key, "POST", headers=headers, content=content)
            assert answer.status_code == 200
    assert service.forward(forged("ak"), "PUT", content=BODIES[case]).status_code == 401


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_body_may_have_any_size(service: Service, agent: Agent, method: str, size: int) -> None:
    for content in (b"x" * size, _pieces(b"x" * size)):
        assert service.forward(agent.key, method, content=content).status_code == 200
        assert service.forward(forged("ak"), method, content=b"x" * size).status_code == 401


LENGTHS = ["0", "1", "8192", "8193", "99999999999"]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_body_that_is_announced_and_never_sent_is_not_waited_for(
    service: Service, agent: Agent, length: str
) -> None:
    bearer, announced = f"Authorization: Bearer {agent.key}", f"Content-Length: {length}"
    _hears(service, {200}, head("POST", FORWARD, bearer, announced))
    _hears(service, {200}, head("GET", FORWARD + "/x", bearer, announced))
    _hears(service, {401}, head("POST", FORWARD, announced))


def test_a_chunked_body_without_end_is_not_waited_for(service: Service, agent: Agent) -> None:
    lines = f"Authorization: Bearer {agent.key}", "Transfer-Encoding: chunked"
    for sent in (b"", chunked(b"x" * 4096), chunked(*[b"x" * 4096] * 3)):
        _hears(service, {200}, head("POST", FORWARD, *lines), sent)


def test_half_a_body_is_neither_waited_for_nor_taken_for_a_request(
    service: Service, agent: Agent
) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    smuggled = request(
        "DELETE", f"/v1/agents/{agent.id}", f"Authorization: Bearer {service.operator}"
    )
    with connected(service) as connection:
        connection.send(head("POST", FORWARD, bearer, f"Content-Length: {len(smuggled) + 50}"))
        assert _status(connection.answer()) == 200
        connection.send(smuggled)
        connection.answer()
    assert service.whoami(agent.key).status_code == 200


def test_expect_gets_its_answer_without_the_body(service: Service, agent: Agent) -> None:
    for length in ("10", "9000"):
        lines = f"Content-Length: {length}", "Expect: 100-continue"
        bearer = f"Authorization: Bearer {agent.key}"
        _hears(service, {100, 200}, head("POST", FORWARD, bearer, *lines))
        _hears(service, {100, 401}, head("POST", FORWARD, *lines))


REFUSED: dict[str, list[str | bytes]] = {
    "two of them": ["Authorization: Bearer {}", "Authorization: Bearer {}"],
    "a good one and Basic": ["Authorization: Bearer {}", "Authorization: Basic YTpi"],
    "Basic and a good one": ["Authorization: Basic YTpi", "authorization: Bearer {}"],
    "a good one and an empty one": ["Authorization: Bearer {}", "Authorization:"],
    "two hundred": ["Authorization: Bearer {}"] * 200,
    "the key as Basic's password": ["Authorization: Basic eDp7fQ=="],
    "the key without a scheme": ["Authorization: {}"],
    "the key in another header": ["X-Api-Key: {}", "Proxy-Authorization: Bearer {}"],
    "the key as a cookie": ["Cookie: key={}"],
    "something after the key": ["Authorization: Bearer {} x"],
    "a comma after the key": ["Authorization: Bearer {},Bearer {}"],
    "a damaged key": ["Authorization: Bearer {}0"],
    "binary bytes": [b"Authorization: Bearer \xff\xfe\x80\xc3"],
    "a key in full-width letters": ["Authorization: Bearer ｓｋ".encode()],
    "a key of 20,000 characters": ["Authorization: Bearer " + "x" * 20_000],
    "a tab": ["Authorization: Bearer\t\t"],
    "Digest": ['Authorization: Digest username="a", realm="b", nonce="c"'],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_single_good_bearer_is_401(service: Service, agent: Agent, case: str) -> None:
    lines = [
        line if isinstance(line, bytes) else line.replace("{}", agent.key).encode()
        for line in REFUSED[case]
    ]
    for method, path in (("GET", FORWARD), ("POST", FORWARD + "/x?a=b")):
        answer = exchange(service, request(method, path, *lines))
        assert _status(answer) == 401
        assert answer and answer.json()["code"] == "invalid_credentials"


@pytest.mark.parametrize("kind", ["rotation secret", "developer", "service", "enrolment"])
def test_credentials_of_other_kinds_are_401(service: Service, agent: Agent, kind: str) -> None:
    token = agent.secret
    if kind != "rotation secret":
        token = service.create_token(kind, service.operator)["token"]
    assert service.forward(token).status_code == 401


ODD_HEADERS: dict[str, list[str | bytes]] = {
    "binary bytes": [b"X-Binary: \xff\xfe\x80"],
    "an idempotency key that is none": ["Idempotency-Key: x"],
    "conditions": ["If-None-Match: *", "If-Match: x", "Range: bytes=0-0", "If-Modified-Since: 0"],
    "an offer of h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: A"],
    "an offer of a websocket": [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
    "forwarding": ["Forwarded: for=x", "X-Forwarded-For: nonsense", "X-Original-URI: /a?b={}"],
    "the other method": ["X-HTTP-Method-Override: DELETE", "X-Forwarded-Method: TRACE"],
    "an unknown origin": ["Origin: null", "Access-Control-Request-Method: PUT"],
    "another host": ["X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher"],
    "encodings": ["Content-Encoding: br", "Accept-Encoding: x, *;q=0", "Accept: nothing/*"],
    "a hundred headers": [f"X-Filler-{number}: x" for number in range(100)],
    "20 KB of cookies": ["Cookie: " + "x" * 20_000],
    "trailers": ["TE: trailers", "Trailer: Authorization"],
}


@pytest.mark.parametrize("case", ODD_HEADERS)
def test_no_other_header_changes_the_answer(service: Service, agent: Agent, case: str) -> None:
    lines = ODD_HEADERS[case]
    bearer = f"Authorization: Bearer {agent.key}"
    for method in ("GET", "POST"):
        good = exchange(service, request(method, FORWARD, bearer, *lines))
        bad = exchange(service, request(method, FORWARD, *lines))
        assert (_status(good), _status(bad)) == (200, 401)


@pytest.mark.parametrize("size", [40_000, 70_000, 200_000])
def test_a_head_that_is_too_large_is_401(service: Service, agent: Agent, size: int) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    lines = [f"X-Filler-{number}: {'x' * 990}" for number in range(size // 1000)]
    for long in (["X-Long: " + "x" * size], lines, ["Authorization: Bearer " + "x" * size]):
        for before in ([bearer, *long], [*long, bearer]):
            _hears(service, {401}, request("GET", FORWARD, *before))
    _hears(service, {401}, request("GET", f"{FORWARD}?q={'x' * size}", bearer))


FRAMING: dict[str, list[str]] = {
    "two lengths": ["Content-Length: 2", "Content-Length: 3"],
    "a length that is no number": ["Content-Length: two"],
    "a length and chunks": ["Content-Length: 2", "Transfer-Encoding: chunked"],
    "an unknown transfer encoding": ["Transfer-Encoding: nonsense"],
    "a header without a colon": ["nonsense"],
    "a header with NUL": ["X-Bad: a\x00b"],
    "two hosts": ["Host: other"],
}


@pytest.mark.parametrize("case", FRAMING)
def test_what_is_no_http_lets_nobody_in(service: Service, agent: Agent, case: str) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    for before in ([bearer, *FRAMING[case]], [*FRAMING[case], bearer]):
        _hears(service, {None, 401}, head("POST", FORWARD, *before), b"{}x")


MALFORMED = {
    "bytes that are no ASCII in the path": b"GET /v1/forward-auth/\xc3\xa9 HTTP/1.1",
    "bytes that are no ASCII in the query": b"GET /v1/forward-auth?q=\xc3\xa9 HTTP/1.1",
    "a control character": b"GET /v1/forward-auth/\x01 HTTP/1.1",
    "no ASCII in an absolute target": b"GET http://h/v1/forward-auth/\xe9 HTTP/1.1",
    "a header's name with a space": b"GET /v1/forward-auth HTTP/1.1\r\nA B: c",
    "that, and a percent-encoded path": b"GET /v1/%66orward-auth HTTP/1.1\r\nA B: c",
    "that, and an absolute target": b"GET http://h/v1/forward-auth HTTP/1.1\r\nA B: c",
    "an unknown method in HTTP/1.0": b"FOO /v1/forward-auth HTTP/1.0",
    "an unknown method for no ASCII": b"FOO /v1/forward-auth/\xe9 HTTP/1.1",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_http_is_no_credential(service: Service, case: str) -> None:
    _hears(service, {401}, MALFORMED[case] + b"\r\nHost: keyturn\r\n\r\n")
