"""What a connection may bring that is not one plain request after another."""

import json
import re
import socket
import subprocess

import pytest

from .client import Service, unique
from .raw import connected, exchange, head, request

ROTATE = "/v1/agents/self/rotate-key"


def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(service: Service) -> None:
    agent = service.register()
    answer = subprocess.run(
        [
            *("curl", "-sS", "--http2", "-X", "POST", f"{service.url}{ROTATE}"),
            *("-H", f"Authorization: Bearer {agent.key}"),
            *("-d", f'{{"rotationSecret": "{agent.secret}"}}', "-o", "/dev/null"),
            *("-w", "%{http_code}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "200"
    assert service.whoami(agent.key).status_code == 401


def test_a_tunnel_is_refused(service: Service) -> None:
    answer = exchange(service, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert answer is not None and answer.status == 400
    assert answer.headers["x-request-id"]


UNKNOWN_METHODS = ["FOO", "EXPLODE", "get", "Post", "DESCRIBE", "M-SEARCH", "CONNECT", "a.b"]


@pytest.mark.parametrize("method", UNKNOWN_METHODS)
def test_a_method_that_nobody_knows_is_one_that_is_not_allowed(
    service: Service, method: str
) -> None:
    answer = exchange(service, request(method, "/v1/agents?limit=1", body=b"{}"))
    assert answer is not None and answer.status == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
    elsewhere = exchange(service, request(method, "/v1/nothing"))
    assert elsewhere is not None and elsewhere.status == 404


def test_what_follows_a_method_that_nobody_knows_is_not_read(service: Service) -> None:
    name = unique("smuggled")
    smuggled = request("POST", "/v1/auth/agent-register", body=b'{"name": "%b"}' % name.encode())
    for method in ("FOO", "CONNECT", "DESCRIBE"):
        with connected(service) as connection:
            connection.send(head(method, ROTATE, "Content-Length: 3") + smuggled, smuggled)
            answer = connection.answer()
            connection.send(smuggled)
            assert answer is not None and answer.status == 405
            assert connection.answer() is None
    assert service.listed("/v1/agents", service.operator, q=name) == []


def test_a_method_that_comes_in_pieces_or_after_a_request_is_refused(service: Service) -> None:
    with connected(service) as connection:
        connection.send(b"FO")
        answer = connection.answer()
        assert answer is not None and answer.status == 400
        assert "known method" in answer.json()["detail"]
    with connected(service) as connection:
        connection.send(request("GET", "/healthz") + request("FOO", "/healthz"))
        answers = [connection.answer() for _ in range(3)]
    assert [answer and answer.status for answer in answers] == [200, 400, None]


def test_a_rotation_is_answered_although_garbage_follows_it(service: Service) -> None:
    agent = service.register()
    body = f'{{"rotationSecret": "{agent.secret}"}}'.encode()
    lines = [f"Authorization: Bearer {agent.key}", f"Content-Length: {len(body)}"]
    answer = exchange(service, head("POST", ROTATE, *lines), body + b"\x00garbage\r\n\r\n")
    assert answer is not None and answer.status == 200


def test_a_header_that_counts_once_is_refused_twice(service: Service) -> None:
    for line in ("Host: other", "Idempotency-Key: " + "k" * 22):
        answer = exchange(service, head("GET", "/healthz", line, line))
        assert answer is not None and answer.status == 400
        assert answer.json()["code"] == "invalid_request"


def test_a_head_without_end_is_refused(service: Service) -> None:
    lines = [f"X-Filler-{number}: {'x' * 1000}" for number in range(64)]
    answer = exchange(service, head("GET", "/healthz", *lines))
    assert answer is not None and answer.status == 400


def test_a_trailer_is_no_header(service: Service) -> None:
    agent = service.register()
    chunked = head("POST", "/v1/forward-auth", "Transfer-Encoding: chunked")
    trailer = f"0\r\nAuthorization: Bearer {agent.key}\r\n\r\n".encode()
    answer = exchange(service, chunked + trailer)
    assert answer is not None and answer.status == 401


def test_a_broken_request_takes_no_answer_from_the_one_before_it(service: Service) -> None:
    agent = service.register()
    body = f'{{"rotationSecret": "{agent.secret}"}}'.encode()
    rotation = request("POST", ROTATE, f"Authorization: Bearer {agent.key}", body=body)
    broken = head("POST", ROTATE, "Transfer-Encoding: chunked") + b"zz\r\n"
    with connected(service) as connection:
        connection.send(rotation + broken)
        answers = [connection.answer(), connection.answer()]
    assert [answer.status for answer in answers if answer] == [200, 400]


def test_any_number_of_offers_to_upgrade_is_answered(service: Service) -> None:
    offer = head("GET", "/v1/forward-auth", "Connection: upgrade", "Upgrade: a")
    with connected(service) as connection:
        connection.send(offer * 1000)
        answers = [connection.answer() for _ in range(1000)]
    assert {answer.status for answer in answers if answer} == {401}
    assert None not in answers


def _all_that_comes(service: Service, *pieces: bytes, half: bool = False) -> bytes:
    """What is answered until the service hangs up; `half`: the client has said its last."""
    with connected(service) as connection:
        connection.send(*pieces)
        if half:
            connection.socket.shutdown(socket.SHUT_WR)
        return connection.rest()


def _statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def test_a_client_that_has_said_its_last_gets_every_answer(service: Service) -> None:
    registration = request(
        "POST", "/v1/auth/agent-register", body=json.dumps({"name": unique("half")}).encode()
    )
    assert _statuses(_all_that_comes(service, registration, half=True)) == [201]
    whoami = head("GET", "/v1/agents/self")
    assert _statuses(_all_that_comes(service, registration + whoami, half=True)) == [201, 401]


def test_half_a_request_is_not_waited_for_once_the_client_has_said_its_last(
    service: Service,
) -> None:
    begun = head("POST", "/v1/auth/agent-register", "Content-Length: 20") + b'{"name"'
    assert _statuses(_all_that_comes(service, begun, half=True)) == []


@pytest.mark.parametrize(("version", "connection"), [("1.1", "upgrade, close"), ("1.0", "upgrade")])
@pytest.mark.parametrize("path", ["/healthz", "/v1/forward-auth"])
def test_an_offer_to_upgrade_keeps_no_connection_that_was_to_be_closed(
    service: Service, path: str, version: str, connection: str
) -> None:
    offer = f"GET {path} HTTP/{version}\r\nConnection: {connection}\r\nUpgrade: websocket\r\n\r\n"
    answers = _all_that_comes(service, offer.encode())
    assert len(_statuses(answers)) == 1
    assert b"\r\nconnection: close\r\n" in answers.lower()


def test_a_body_that_breaks_after_its_answer_gets_no_second_one(service: Service) -> None:
    posted = head("POST", "/v1/forward-auth", "Transfer-Encoding: chunked")
    with connected(service) as connection:
        connection.send(posted)
        first = connection.answer()
        connection.send(b"zz\r\n")
        assert connection.rest() == b""
    assert first is not None and first.status == 401


@pytest.mark.parametrize(("path", "status"), [("/v1/forward-auth", 401), ("/healthz", 400)])
def test_a_client_may_send_all_of_a_head_that_is_refused_before_its_end(
    service: Service, path: str, status: int
) -> None:
    endless = f"GET {path} HTTP/1.1\r\nA: ".encode() + b"x" * 16_000_000
    with connected(service) as connection:
        # A proxy that can't send all of it takes that for a fault, whatever was answered.
        connection.socket.sendall(endless)
        answer = connection.answer()
    assert answer is not None and answer.status == status


def test_what_follows_a_refusal_is_not_read(service: Service) -> None:
    name = unique("smuggled")
    registration = request(
        "POST", "/v1/auth/agent-register", body=json.dumps({"name": name}).encode()
    )
    with connected(service) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nA B: c\r\n\r\n")
        refused = connection.answer()
        connection.send(registration)
        assert connection.rest() == b""
    assert refused is not None and refused.status == 400
    assert service.listed("/v1/agents", service.operator, q=name) == []
