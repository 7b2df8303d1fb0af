"""What a connection may bring that is not one plain request after another."""

import subprocess

from .client import Service
from .raw import exchange, head

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
