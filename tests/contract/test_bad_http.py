"""HTTP as no decent client sends it: the service answers or hangs up, and nothing changes."""

import json
import socket

import httpx
import pytest

from .client import Agent, Service, assert_problem, eventually, unique
from .raw import END_OF_CHUNKS, Answer, chunked, connected, exchange, head, request

REGISTER = "/v1/auth/agent-register"
ROTATE = "/v1/agents/self/rotate-key"


def _newest(service: Service) -> object:
    return service.get("/v1/agents?limit=1", service.operator).json()["items"]


def _refused(answer: Answer | None) -> bool:
    """Whether it hung up, or answered that the client is at fault."""
    return answer is None or 400 <= answer.status < 500


def _body(agent: Agent) -> bytes:
    return json.dumps({"rotationSecret": agent.secret}).encode()


def test_pipelined_requests_are_answered_in_order(service: Service, agent: Agent) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    with connected(service) as connection:
        connection.send(
            request("POST", REGISTER, body=b'{"name": "first"}')
            + request("GET", "/v1/agents/self", bearer)
            + request("POST", ROTATE, bearer, body=_body(agent))
            + request("GET", "/v1/agents/self", bearer)
            + request("GET", "/healthz")
        )
        answers = [connection.answer() for _ in range(5)]
    assert [answer and answer.status for answer in answers] == [201, 200, 200, 401, 200]
    ids = {answer.headers["x-request-id"] for answer in answers if answer}
    assert len(ids) == 5


def test_what_follows_a_refused_head_is_its_body_and_no_request(service: Service) -> None:
    before = _newest(service)
    smuggled = request("POST", REGISTER, body=b'{"name": "smuggled"}').ljust(9000)
    with connected(service) as connection:
        connection.send(head("POST", REGISTER, "Content-Length: 9000"))
        refused = connection.answer()
        connection.send(smuggled, request("GET", "/healthz"))
        following = connection.answer()
    assert refused is not None and refused.status == 413
    assert following is None or following.json() == service.get("/healthz").json()
    assert _newest(service) == before


def test_of_pipelined_rotations_one_succeeds(service: Service, agent: Agent) -> None:
    rotation = request("POST", ROTATE, f"Authorization: Bearer {agent.key}", body=_body(agent))
    with connected(service) as connection:
        connection.send(rotation * 3)
        answers = [connection.answer() for _ in range(3)]
    assert [answer and answer.status for answer in answers] == [200, 401, 401]
    assert service.inspect(agent.id)["generation"] == 2


def test_a_body_may_come_in_small_pieces(service: Service, agent: Agent) -> None:
    body = _body(agent)
    lines = head(
        "POST", ROTATE, f"Authorization: Bearer {agent.key}", f"Content-Length: {len(body)}"
    )
    with connected(service) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in lines + body:
            connection.send(bytes([byte]))
        answer = connection.answer()
    assert answer is not None and answer.status == 200


def test_a_body_that_never_comes_is_408(service: Service, agent: Agent) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    answer = exchange(service, head("POST", ROTATE, bearer, "Content-Length: 100"), b'{"rotation')
    assert answer is not None
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")
    assert service.whoami(agent.key).json()["generation"] == 1


@pytest.mark.parametrize("length", [0, 10, -1])
def test_a_request_that_breaks_off_changes_nothing(
    service: Service, agent: Agent, length: int
) -> None:
    body = _body(agent)
    lines = f"Authorization: Bearer {agent.key}", f"Content-Length: {len(body)}"
    for _ in range(5):
        with connected(service) as connection:
            connection.send(head("POST", ROTATE, *lines), body[:length])
    assert service.get("/readyz").status_code == 200
    assert service.whoami(agent.key).json()["generation"] == 1


def test_an_answer_that_nobody_reads_belongs_to_a_whole_rotation(
    service: Service, agent: Agent
) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    with connected(service) as connection:
        connection.send(request("POST", ROTATE, bearer, body=_body(agent)))
        eventually(lambda: service.inspect(agent.id)["generation"] == 2)
    assert len(service.audit(agentId=agent.id, action="credential.rotated")) == 1
    assert service.whoami(agent.key).status_code == 401


def test_expect_is_answered_with_continue(service: Service) -> None:
    body = json.dumps({"name": unique("patient")}).encode()
    lines = head("POST", REGISTER, f"Content-Length: {len(body)}", "Expect: 100-continue")
    with connected(service) as connection:
        connection.send(lines)
        go_on = connection.answer()
        connection.send(body)
        answer = connection.answer()
    assert go_on is not None and go_on.status == 100
    assert answer is not None and answer.status == 201


@pytest.mark.parametrize("path", [ROTATE, REGISTER])
def test_expect_of_a_large_body_is_refused(service: Service, path: str) -> None:
    lines = head("POST", path, "Content-Length: 8193", "Expect: 100-continue")
    answer = exchange(service, lines)
    assert answer is not None and answer.status == 413


def test_a_chunked_rotation_is_a_rotation(service: Service, agent: Agent) -> None:
    body = _body(agent)
    bearer = f"Authorization: Bearer {agent.key}"
    lines = head("POST", ROTATE, bearer, "Transfer-Encoding: chunked")
    answer = exchange(service, lines, chunked(body[:7], body[7:8], body[8:]), END_OF_CHUNKS)
    assert answer is not None and answer.status == 200


BAD_FRAMING: dict[str, tuple[list[str], bytes]] = {
    "a chunk's size that is no number": (["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
    "a negative chunk's size": (["Transfer-Encoding: chunked"], b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than said": (["Transfer-Encoding: chunked"], b"1\r\n{}\r\n0\r\n\r\n"),
    "a chunk's size of 40 digits": (["Transfer-Encoding: chunked"], b"f" * 40 + b"\r\n{}\r\n"),
    "an unknown transfer encoding": (["Transfer-Encoding: nonsense"], b"{}"),
    "two different lengths": (["Content-Length: 2", "Content-Length: 3"], b"{}x"),
    "a list of lengths": (["Content-Length: 2, 3"], b"{}x"),
    "a length that is no number": (["Content-Length: two"], b"{}"),
    "a negative length": (["Content-Length: -2"], b"{}"),
    "a length with a sign": (["Content-Length: +2"], b"{}"),
    "a length of 400 digits": (["Content-Length: " + "9" * 400], b"{}"),
    "a length and chunks": (
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        b"2\r\n{}\r\n0\r\n\r\n",
    ),
    "a header without a colon": (["Content-Length: 2", "nonsense"], b"{}"),
    "a header with a space in its name": (["Content-Length: 2", "Bad Name: x"], b"{}"),
    "a header with NUL": (["Content-Length: 2", "X-Bad: a\x00b"], b"{}"),
}


@pytest.mark.parametrize("case", BAD_FRAMING)
def test_bad_framing_registers_nobody(service: Service, case: str) -> None:
    lines, body = BAD_FRAMING[case]
    before = _newest(service)
    answer = exchange(service, head("POST", REGISTER, *lines), body)
    assert _refused(answer), answer
    assert _newest(service) == before
    assert service.get("/readyz").status_code == 200


NOT_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "words": b"hello there\r\n\r\n",
    "an empty request line": b"\r\n\r\n\r\nnonsense\r\n\r\n",
    "HTTP/9": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": b"EXPLODE /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the path": b"GET /health z HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("case", NOT_HTTP)
def test_what_is_no_http_is_refused(service: Service, case: str) -> None:
    answer = exchange(service, NOT_HTTP[case])
    assert _refused(answer), answer
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("case", ["TLS", "words", "an unknown method", "a space in the path"])
def test_what_is_no_http_is_answered_with_a_request_id_too(service: Service, case: str) -> None:
    answer = exchange(service, NOT_HTTP[case])
    assert answer is None or answer.headers.get("x-request-id")


@pytest.mark.parametrize("size", [2_000, 20_000, 200_000])
def test_long_urls_and_headers_are_answered(service: Service, size: int) -> None:
    answers = [
        exchange(service, request("GET", "/v1/agents/self?q=" + "x" * size)),
        exchange(service, request("GET", "/" + "x" * size)),
        exchange(service, request("GET", "/v1/agents/self", "X-Long: " + "x" * size)),
        exchange(service, request("GET", "/v1/agents/self", "Authorization: Bearer " + "x" * size)),
    ]
    assert all(_refused(answer) for answer in answers)
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("where", ["a header's value", "a header's name", "a trailer"])
def test_a_header_without_end_is_refused_while_it_comes(service: Service, where: str) -> None:
    begun = {
        "a header's value": b"GET /readyz HTTP/1.1\r\nHost: keyturn\r\nX-Long: ",
        "a header's name": b"GET /readyz HTTP/1.1\r\nHost: keyturn\r\nX-",
        "a trailer": head("POST", "/v1/auth/agent-register", "Transfer-Encoding: chunked")
        + b"2\r\n{}\r\n0\r\nX-Long: ",
    }[where]
    with connected(service) as connection:
        connection.send(begun, *[b"x" * 65_536] * 64)
        answer = connection.answer()
        assert answer is None or answer.status in {400, 413}
        connection.send(*[b"x" * 65_536] * 64)
        assert connection.answer() is None, "it goes on reading"


def test_a_length_of_thousands_of_digits_is_a_length(service: Service) -> None:
    answer = exchange(service, head("POST", ROTATE, f"Content-Length: {'0' * 5000}2") + b"{}")
    assert answer is not None and answer.status == 401
    answer = exchange(service, head("POST", ROTATE, f"Content-Length: {'9' * 18}") + b"{}")
    assert answer is not None and answer.status == 413


@pytest.mark.parametrize(
    "path", ["//v1/agents/self", "/v1//agents/self", "/v1/agents/../agents/self"]
)
def test_a_path_has_one_spelling(service: Service, agent: Agent, path: str) -> None:
    bearer = f"Authorization: Bearer {agent.key}"
    answer = exchange(service, request("GET", path, bearer))
    assert answer is not None
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


def test_http_1_0_is_answered(service: Service) -> None:
    answer = exchange(service, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer is not None and answer.status == 200


def test_hanging_connections_do_not_keep_others_out(service: Service) -> None:
    with connected(service) as one, connected(service) as two:
        one.send(b"POST /v1/auth/agent-register HTTP/1.1\r\nHost: x\r\n")
        two.send(head("POST", REGISTER, "Content-Length: 50"), b"{")
        assert service.post(REGISTER).status_code == 201


def test_an_upgrade_is_not_taken(service: Service) -> None:
    lines = [
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    for path in ("/healthz", ROTATE, "/v1/nothing"):
        answer = exchange(service, request("GET", path, *lines))
        assert answer is not None and answer.status in {200, 403, 404, 405, 426}
    assert service.get("/readyz").status_code == 200


def test_a_get_with_a_body_is_still_a_get(service: Service, agent: Agent) -> None:
    answer: httpx.Response = service.call(
        "GET", "/v1/agents/self", token=agent.key, content=b'{"any": "thing"}'
    )
    assert (answer.status_code, answer.json()["agentId"]) == (200, agent.id)
    assert_problem(
        service.call("GET", "/v1/agents", token=agent.key, content=b"x"), 401, "invalid_token"
    )
