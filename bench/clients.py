"""Who the load generator plays: what each client sends next, and what it learns from the answer."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from bench.http1 import Response, UnreadableResponseError, connect, exchange, request

ROTATE = "/v1/agents/self/rotate-key"
REGISTER = "/v1/auth/agent-register"


def new_address() -> str:
    """A client's address in a bucket of the attempt limit that hardly any other shares."""
    number = secrets.randbits(32)
    return f"2001:db8:{number >> 16:04x}:{number & 0xFFFF:04x}::1"


class Client(Protocol):
    """One client on one connection: it sends again as soon as it has its answer."""

    def next_request(self) -> bytes:
        """The bytes to send now."""
        ...

    def received(self, response: Response) -> bool:
        """Take the answer; False where it is an error."""
        ...


@dataclass
class Repeating:
    """A client that sends the same request for ever."""

    message: bytes

    def next_request(self) -> bytes:
        """The one request."""
        return self.message

    def received(self, response: Response) -> bool:
        """Anything but 200 is an error."""
        return response.status == 200


@dataclass
class Rotating:
    """A client that rotates its agents in turn, each time with the pair of the last answer."""

    pairs: list[tuple[str, str]] = field(repr=False)
    turn: int = 0
    recoverable: bool = False
    """Whether each rotation has an idempotency key of its own."""

    def next_request(self) -> bytes:
        """The rotation of the agent whose turn it is."""
        key, secret = self.pairs[self.turn]
        extra = f'Idempotency-Key: "{secrets.token_urlsafe(24)}"\r\n' if self.recoverable else ""
        return rotation(key, secret, address=new_address(), extra=extra)

    def received(self, response: Response) -> bool:
        """Keep the new pair; after an error the next turn of that agent tries the old one again."""
        if response.status == 200:
            made = json.loads(response.body)
            self.pairs[self.turn] = made["apiKey"], made["rotationSecret"]
        self.turn = (self.turn + 1) % len(self.pairs)
        return response.status == 200


def rotation(key: str, secret: str, *, address: str, extra: str = "") -> bytes:
    """The request of a rotation that a proxy hands on for `address`; `extra` as in `request`."""
    body = b'{"rotationSecret":"%s"}' % secret.encode("ascii")
    forwarded = f"X-Forwarded-For: {address}\r\n"
    return request("POST", ROTATE, key=key, body=body, extra=forwarded + extra)


def register(port: int, count: int) -> list[tuple[str, str]]:
    """The pairs of `count` new agents.

    Raises:
        UnreadableResponseError: a registration was refused.
    """
    pairs = []
    with connect(port) as connection:
        for _ in range(count):
            response = exchange(connection, request("POST", REGISTER, body=b"{}"))
            if response.status != 201:
                raise UnreadableResponseError(f"Registration answered {response.status}.")
            made = json.loads(response.body)
            pairs.append((made["apiKey"], made["rotationSecret"]))
    return pairs
