"""The requests whose times are compared: each a kind of refusal, many times over."""

import os
import secrets
from dataclasses import dataclass, field

from bench.clients import new_address, register, rotation
from bench.http1 import UnreadableResponseError, connect, exchange
from keyturn.core.credential import Credential, Kind

AGENTS = 64
PREFIX = "sk_live"


@dataclass(frozen=True)
class Contender:
    """One kind of request, and as many of them as there will be samples."""

    name: str
    messages: list[bytes] = field(repr=False)


def contract(port: int, count: int) -> list[Contender]:
    """The three that nobody may tell apart: unknown keys, retired keys, wrong secrets.

    Unknown keys are new in every request. Retired pairs were those of agents that have rotated
    since; right keys are those of agents that have not.

    Raises:
        UnreadableResponseError: the server refused to make the agents.
    """
    retired = register(port, AGENTS)
    _rotate(port, retired)
    current = [key for key, _ in register(port, AGENTS)]
    return [
        unknown("unknown key", count),
        Contender("retired key", [_send(*retired[at % AGENTS]) for at in range(count)]),
        Contender(
            "wrong secret",
            [_send(current[at % AGENTS], new(Kind.ROTATION_SECRET)) for at in range(count)],
        ),
    ]


def with_idempotency_key(port: int, count: int) -> list[Contender]:
    """With an idempotency key that is new in every request: who has an answer to repeat?

    Retired pairs are those of agents whose last answer is kept: the right key would have it again.

    Raises:
        UnreadableResponseError: the server refused to make the agents.
    """
    retired = register(port, AGENTS)
    _rotate(port, retired, with_key=True)
    current = [key for key, _ in register(port, AGENTS)]
    pairs = {
        "unknown pair": [(new(Kind.API_KEY), new(Kind.ROTATION_SECRET)) for _ in range(count)],
        "pair with an answer kept": [retired[at % AGENTS] for at in range(count)],
        "retired key, wrong secret": [
            (retired[at % AGENTS][0], new(Kind.ROTATION_SECRET)) for at in range(count)
        ],
        "current key, wrong secret": [
            (current[at % AGENTS], new(Kind.ROTATION_SECRET)) for at in range(count)
        ],
    }
    return [
        Contender(name, [_send(*pair, extra=_new_idempotency_key()) for pair in sent])
        for name, sent in pairs.items()
    ]


def unknown(name: str, count: int, *, extra: str = "") -> Contender:
    """Well-formed pairs that were never issued."""
    pairs = ((new(Kind.API_KEY), new(Kind.ROTATION_SECRET)) for _ in range(count))
    return Contender(name, [_send(*pair, extra=extra) for pair in pairs])


def bad_checksum(count: int) -> Contender:
    """API keys with a wrong checksum: refused without a look at the store."""
    keys = (new(Kind.API_KEY) for _ in range(count))
    broken = (key[:-1] + ("0" if key[-1] != "0" else "1") for key in keys)
    return Contender("bad checksum", [_send(key, new(Kind.ROTATION_SECRET)) for key in broken])


def new(kind: Kind) -> str:
    """A well-formed credential that nobody was given."""
    return Credential.generate(kind, PREFIX, os.urandom).reveal()


def _send(key: str, secret: str, *, extra: str = "") -> bytes:
    return rotation(key, secret, address=new_address(), extra=extra)


def _new_idempotency_key() -> str:
    return f"Idempotency-Key: {secrets.token_hex(16)}\r\n"


def _rotate(port: int, pairs: list[tuple[str, str]], *, with_key: bool = False) -> None:
    with connect(port) as connection:
        for pair in pairs:
            extra = _new_idempotency_key() if with_key else ""
            response = exchange(connection, _send(*pair, extra=extra))
            if response.status != 200:
                raise UnreadableResponseError(f"A rotation answered {response.status}.")
