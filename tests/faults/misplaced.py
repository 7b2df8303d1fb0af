"""Requests that put a credential where it does not belong: what careless clients really do."""

import base64
import json
import random
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from .connection import ROTATE, SELF

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KINDS = ("ak", "rs", "dt", "sv", "en")


@dataclass(frozen=True)
class Call:
    """One request. `token` is what the `Authorization` header carries."""

    method: str
    path: str
    token: str | None = field(default=None, repr=False)
    body: object = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def made_up(kind: str, choice: random.Random) -> str:
    """A credential that nobody issued, in perfect form."""
    start = f"sk_live_{kind}_" + "".join(choice.choices(ALPHABET, k=43))
    number, digits = zlib.crc32(start.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return start + digits.rjust(6, "0")


def as_bearer(it: str) -> Iterator[Call]:
    """Where one credential belongs, and others don't: as the token of every kind of route."""
    for path in (SELF, "/v1/agents", "/v1/audit", "/v1/developers", "/metrics"):
        yield Call("GET", path, token=it)
    for path in (ROTATE, f"{SELF}/revoke"):
        yield Call("POST", path, token=it, body={"rotationSecret": it})
    yield Call("POST", "/v1/auth/agent-register", token=it, body={"enrolmentToken": it})


def in_the_address(it: str) -> Iterator[Call]:
    """In paths and query strings, plain and with every character percent-encoded."""
    hidden = "".join(f"%{ord(character):02X}" for character in it)
    for text in (it, hidden):
        yield Call("GET", f"/{text}")
        yield Call("GET", f"/v1/agents/{text}", token=it)
        yield Call("DELETE", f"/v1/service-tokens/{text}", token=it)
        yield Call("POST", f"/v1/agents/{text}/rotate-key", token=it)
        for name in ("access_token", "key", "q", "cursor", "agentId"):
            yield Call("GET", f"/v1/agents?{name}={text}", token=it)
            yield Call("GET", f"/v1/audit?{name}={text}", token=it)
        yield Call("GET", f"{SELF}?{text}", token=it)
        yield Call("POST", f"{ROTATE}?rotationSecret={text}", token=it, body={})
        yield Call("POST", f"/v1/auth/agent-register?x=1&enrolmentToken={text}")


def in_headers(it: str) -> Iterator[Call]:
    """In headers that servers log, and in odd forms of the one that is right."""
    for name in ("User-Agent", "Referer", "X-Forwarded-For", "X-Request-Id", "Cookie", "Origin"):
        yield Call("POST", ROTATE, token=it, body={"rotationSecret": it}, headers={name: it})
        yield Call("POST", "/v1/auth/agent-register", headers={name: f"agent/1 ({it})"})
    for name in ("Host", "Content-Type", "Accept", "Traceparent", "X-Api-Key", it):
        yield Call("GET", SELF, headers={name: it})
    yield Call(
        "POST", ROTATE, token=it, body={"rotationSecret": it}, headers={"Idempotency-Key": it}
    )
    basic = base64.b64encode(f"user:{it}".encode()).decode()
    for value in (
        it,
        f"Bearer  {it}",
        f"bearer {it} ",
        f"Token {it}",
        f"Basic {basic}",
        f"Bearer {it},Bearer {it}",
        f"Bearer {it}\tx",
    ):
        yield Call("POST", ROTATE, body={"rotationSecret": it}, headers={"Authorization": value})
    yield Call("GET", SELF, token=it, headers={"authorization": f"Bearer {it}"})


def in_bodies(it: str, token: str) -> Iterator[Call]:
    """In broken bodies, under wrong names, and in everything that is meant to be shown again."""
    secret = json.dumps(it)
    for body in (
        f'{{"rotationSecret": {secret}',
        f'{{"rotationSecret": {secret},}}',
        secret,
        f"[{secret}]",
        f'{{"rotationSecret": {secret}, "rotationSecret": {secret}}}',
        f'{{"rotationSecret": [{secret}]}}',
        f'{{"rotation_secret": {secret}}}',
        f"{{{secret}: 1}}",
        f"rotationSecret={it}",
        f"{it}\x00",
        "x" * 9000 + it,
    ):
        yield Call("POST", ROTATE, token=it, body=body.encode())
    for name in (it, f"agent {it}", f"{it} " + quote(it)):
        yield Call("POST", "/v1/auth/agent-register", body={"name": name, "note": it})
        yield Call("POST", "/v1/agents", token=token, body={"name": name})
        yield Call("POST", "/v1/enrolment-tokens", token=token, body={"name": name})
        yield Call("POST", "/v1/service-tokens", token=token, body={"name": name})
        yield Call("POST", "/v1/developer-tokens", token=token, body={"name": name})
    yield Call("POST", "/v1/developers", token=token, body={"email": f"{it}@example.com"})


def on_an_agent(it: str, token: str, agent_id: str) -> Iterator[Call]:
    """In the texts that a developer keeps with an agent."""
    path = f"/v1/agents/{agent_id}"
    for body in (
        {"name": it},
        {"metadata": {"key": it}},
        {"metadata": {it: [{"x": [it]}]}},
        {"onReuse": it},
        {"rotationPeriodDays": it},
    ):
        yield Call("PATCH", path, token=token, body=body)
    yield Call("POST", f"{path}/credits", token=token, body={"amount": 1, "reason": it})
    yield Call("POST", f"{path}/credits", token=token, body={"amount": it, "reason": "x"})
    yield Call("POST", f"{path}/revoke", token=token, body={"reason": f"leaked: {it}"})
    yield Call("POST", f"{path}/reinstate", token=token, headers={"User-Agent": it})


def not_http(port: int, it: str) -> None:
    """Send what no HTTP library would: the server may answer as it likes, or not at all."""
    for text in (
        f"{it}\r\n\r\n",
        f"{it} / HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\n{it}\r\n\r\n",
        f"GET /{it} HTTP/9.9\r\n\r\n",
        f"POST {ROTATE} HTTP/1.1\r\nHost: x\r\nContent-Length: {it}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(text.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
