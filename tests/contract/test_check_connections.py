"""HTTP's edges on the routes of section 6."""

import socket
import threading

import pytest

from .checks import BATCH, FORWARD, INTROSPECT, VERIFY
from .client import Agent, Service, forged
from .raw import END_OF_CHUNKS, Answer, Connection, chunked, connected, exchange, head, request

Call = tuple[str, str, str, bytes]
"""Method, path, Authorization, body."""


def _calls(agent: Agent, checker: str) -> dict[str, Call]:
    bearer, token = f"Authorization: Bearer {agent.key}", f"Authorization: Bearer {checker}"
    return {
        "forward-auth": ("GET", FORWARD, bearer, b""),
        "verify": ("POST", VERIFY, token, f'{{"key": "{agent.key}"}}'.encode()),
        "verify-batch": ("POST", BATCH, token, f'{{"keys": [{{"key": "{agent.key}"}}]}}'.encode()),
        "introspect": ("POST", INTROSPECT, token, f"token={agent.key}".encode()),
    }


def _told(answer: Answer | None) -> bool:
    """Whether the answer is about the agent."""
    assert answer is not None and answer.status == 200
    if not answer.body:
        return "x-agent-id" in answer.headers
    said = answer.json()
    return bool(said.get("active") or said.get("valid") or said["items"][0]["valid"])


NAMES = ["forward-auth", "verify", "verify-batch", "introspect"]
each_check = pytest.mark.parametrize("check", NAMES)


@each_check
def test_it_may_come_byte_by_byte(service: Service, checker: str, agent: Agent, check: str) -> None:
    method, path, line, body = _calls(agent, checker)[check]
    with connected(service) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(method, path, line, body=body):
            connection.send(bytes([byte]))
        assert _told(connection.answer())


@each_check
def test_its_body_may_be_chunked(service: Service, checker: str, agent: Agent, check: str) -> None:
    _, path, line, body = _calls(agent, checker)[check]
    lines = head("POST", path, line, "Transfer-Encoding: chunked")
    pieces = chunked(body[:3], body[3:4], body[4:]) if body else b""
    for end in (END_OF_CHUNKS, b"0\r\nX-Trailer: x\r\n\r\n"):
        assert _told(exchange(service, lines, pieces, end))


@each_check
def test_expect_is_answered_with_continue_or_at_once(
    service: Service, checker: str, agent: Agent, check: str
) -> None:
    _, path, line, body = _calls(agent, checker)[check]
    body = body or b"x"
    lines = head("POST", path, line, f"Content-Length: {len(body)}", "Expect: 100-continue")
    with connected(service) as connection:
        connection.send(lines)
        answer = connection.answer()
        if answer is not None and answer.status == 100:
            connection.send(body)
            answer = connection.answer()
        assert _told(answer)


UPGRADES = {
    "h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
    "a websocket": [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
}


@each_check
@pytest.mark.parametrize("offer", UPGRADES)
def test_an_offer_to_upgrade_is_not_taken(
    service: Service, checker: str, agent: Agent, check: str, offer: str
) -> None:
    method, path, line, body = _calls(agent, checker)[check]
    assert _told(exchange(service, request(method, path, line, *UPGRADES[offer], body=body)))


@each_check
def test_connection_close_is_kept(service: Service, checker: str, agent: Agent, check: str) -> None:
    method, path, line, body = _calls(agent, checker)[check]
    with connected(service) as connection:
        connection.send(request(method, path, line, "Connection: close", body=body))
        answer = connection.answer()
        assert _told(answer)
        assert answer and answer.headers["connection"] == "close"
        assert connection.rest() == b""


@each_check
def test_http_1_0_is_answered_and_hung_up_on(
    service: Service, checker: str, agent: Agent, check: str
) -> None:
    method, path, line, body = _calls(agent, checker)[check]
    sent = request(method, path, line, body=body).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with connected(service) as connection:
        connection.send(sent)
        assert _told(connection.answer())
        assert connection.rest() == b""


@each_check
def test_a_connection_is_kept_after_answers_and_refusals(
    service: Service, checker: str, agent: Agent, check: str
) -> None:
    method, path, line, body = _calls(agent, checker)[check]
    with connected(service) as connection:
        for _ in range(20):
            connection.send(request(method, path, line, body=body))
            assert _told(connection.answer())
            connection.send(request(method, path, "Authorization: Bearer x", body=body))
            refused = connection.answer()
            assert refused is not None and refused.status == 401
            assert "connection" not in refused.headers


def test_fifty_mixed_requests_are_answered_in_order(
    service: Service, checker: str, agent: Agent
) -> None:
    calls = list(_calls(agent, checker).values())
    others: list[Call] = [
        ("GET", "/healthz", "X-None: x", b""),
        ("GET", "/v1/agents/self", f"Authorization: Bearer {agent.key}", b""),
        ("PUT", VERIFY, "X-None: x", b"{}"),
        ("GET", FORWARD, f"Authorization: Bearer {forged('ak')}", b""),
        ("POST", VERIFY, f"Authorization: Bearer {checker}", b"{"),
        ("GET", "/v1/nothing", "X-None: x", b""),
    ]
    statuses = [200] * 4 + [200, 200, 405, 401, 400, 404]
    sent = b"".join(request(*call[:3], body=call[3]) for call in (*calls, *others) * 5)
    with connected(service) as connection:
        connection.send(sent)
        answers = [connection.answer() for _ in range(50)]
    assert [answer and answer.status for answer in answers] == statuses * 5
    assert len({answer.headers["x-request-id"] for answer in answers if answer}) == 50
    assert all(_told(answer) for turn in range(5) for answer in answers[turn * 10 : turn * 10 + 4])


CUTS = [1, 7, 60, 500]


@pytest.mark.parametrize("size", CUTS)
def test_pipelined_checks_may_be_cut_anywhere(
    service: Service, checker: str, agent: Agent, size: int
) -> None:
    calls = list(_calls(agent, checker).values())
    sent = b"".join(request(*call[:3], body=call[3]) for call in calls * 2)
    with connected(service) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), size):
            connection.send(sent[start : start + size])
        assert [_told(connection.answer()) for _ in range(8)] == [True] * 8


def test_a_check_waits_for_the_answer_before_it(
    service: Service, checker: str, agent: Agent
) -> None:
    """What is answered at once stays behind what takes a transaction."""
    verify = f'{{"key": "{agent.key}", "cost": 1}}'.encode()
    token = f"Authorization: Bearer {checker}"
    paid = request("POST", VERIFY, token, body=verify)
    free = request("GET", FORWARD, f"Authorization: Bearer {agent.key}")
    with connected(service) as connection:
        connection.send((paid + free) * 10)
        answers = [connection.answer() for _ in range(20)]
    assert all(_told(answer) for answer in answers)
    left = [answer.json()["creditBalance"] for answer in answers[::2] if answer]
    assert left == list(range(99, 89, -1))
    assert [answer.body for answer in answers[1::2] if answer] == [b""] * 10


@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
def test_a_body_that_never_comes_is_408(service: Service, checker: str, path: str) -> None:
    token = f"Authorization: Bearer {checker}"
    answer = exchange(service, head("POST", path, token, "Content-Length: 100"), b'{"key')
    assert answer is not None
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
def test_a_large_body_is_refused_before_all_of_it_is_here(service: Service, path: str) -> None:
    announced = exchange(service, head("POST", path, "Content-Length: 99999999999"))
    endless = head("POST", path, "Transfer-Encoding: chunked")
    arriving = exchange(service, endless, chunked(b" " * 4096, b" " * 4096, b" "))
    expecting = exchange(
        service, head("POST", path, "Content-Length: 8193", "Expect: 100-continue")
    )
    for answer in (announced, arriving, expecting):
        assert answer is not None and answer.status == 413


BROKEN: dict[str, bytes] = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk's size that is no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative length": b"Content-Length: -2\r\n\r\n{}",
    "a header with NUL": b"X-Bad: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
def test_bad_framing_is_refused_and_others_are_served(
    service: Service, checker: str, path: str, case: str
) -> None:
    start = f"POST {path} HTTP/1.1\r\nHost: keyturn\r\nAuthorization: Bearer {checker}\r\n".encode()
    answer = exchange(service, start + BROKEN[case])
    assert answer is None or answer.status in {400, 413}
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("size", [40_000, 200_000])
@pytest.mark.parametrize("path", [VERIFY, BATCH, INTROSPECT])
def test_a_head_that_is_too_large_is_refused(
    service: Service, checker: str, path: str, size: int
) -> None:
    token = f"Authorization: Bearer {checker}"
    for line in ("X-Long: " + "x" * size, "Cookie: " + "x" * size):
        answer = exchange(service, request("POST", path, token, line, body=b"{}"))
        assert answer is None or answer.status in {400, 401, 413, 431}
    assert service.get("/readyz").status_code == 200


MANY = 2000


def _send(connection: Connection, data: bytes) -> None:
    connection.send(data)


def test_a_client_that_reads_late_gets_every_answer_and_keeps_nobody_waiting(
    service: Service, checker: str, agent: Agent
) -> None:
    calls = _calls(agent, checker)
    sent = b"".join(
        request(*calls[name][:3], body=calls[name][3]) for name in ("forward-auth", "introspect")
    )
    with connected(service) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=_send, args=(connection, sent * (MANY // 2)))
        sender.start()
        for _ in range(20):
            assert service.forward(agent.key).status_code == 200
        assert all(_told(connection.answer()) for _ in range(MANY))
        sender.join()
    assert service.get("/readyz").status_code == 200


def test_a_client_that_hangs_up_amid_its_answers_harms_nobody(
    service: Service, checker: str, agent: Agent
) -> None:
    calls = list(_calls(agent, checker).values())
    sent = b"".join(request(*call[:3], body=call[3]) for call in calls)
    for _ in range(10):
        with connected(service) as connection:
            connection.send(sent * 50)
            connection.answer()
    assert service.forward(agent.key).status_code == 200
