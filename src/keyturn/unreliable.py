"""Breaks answers on purpose, so that a client can be tested for what networks do to it.

Only `keyturn serve --unreliable` puts this between the application and the network. It touches
nothing but committed answers, those of success to a request that changes something: every other
answer costs a client nothing when it is lost.
"""

import asyncio
import functools
import math
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from keyturn.http_protocol import HttpProtocol

MAX_DELAY_SECONDS = 2.0
CONNECTION = "keyturn.connection"
"""The extension of the scope with which an application can hang up."""

_CHANGING = frozenset({"POST", "PATCH", "DELETE"})
_SHARE = re.compile(r"(lose|cut|delay|duplicate)=(\d+(?:\.\d+)?)")
_random = random.SystemRandom()
_log = structlog.get_logger()


class InvalidShares(Exception):
    """The text has no shares; the message says what would."""


@dataclass(frozen=True)
class Shares:
    """How many of 100 committed answers meet which fault; no answer meets two.

    `lose` hangs up without an answer, `cut` within it; `delay` answers up to two seconds later;
    `duplicate` has the request answered a second time, and sends that answer instead.
    """

    lose: float = 0.0
    cut: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0

    def __str__(self) -> str:
        return ",".join(f"{name}={share:g}" for name, share in asdict(self).items())

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shares in `lose=5,cut=2,delay=10,duplicate=3`; a number alone is that of `lose`.

        Raises:
            InvalidShares
        """
        parts = (text if "=" in text else f"lose={text}").split(",")
        found = [match for part in parts if (match := _SHARE.fullmatch(part))]
        shares = {match[1]: float(match[2]) for match in found}
        if len(shares) < len(parts) or math.fsum(shares.values()) > 100:
            raise InvalidShares(
                "must be a percentage, or several like lose=5,cut=2,delay=10,duplicate=3 "
                "that are not above 100 together"
            )
        return cls(**shares)

    def draw(self) -> str | None:
        """The name of the fault that the next committed answer meets."""
        shares = asdict(self)
        spared = 100 - math.fsum(shares.values())
        return _random.choices([*shares, None], [*shares.values(), spared])[0]


class UnreliableProtocol(HttpProtocol):
    """One connection, on which the application can hang up."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        hang_up = functools.partial(_hang_up, self.cycle)
        self.scope["extensions"] = {CONNECTION: {"hang_up": hang_up}}


class UnreliableAnswers:
    """Wraps an application that is served over `UnreliableProtocol`."""

    def __init__(self, app: ASGIApp, shares: Shares) -> None:
        self._app = app
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGING:
            await self._app(scope, receive, send)
            return
        received: list[Message] = []
        answer = await self._answer(scope, _recorded(receive, received))
        fault = self._shares.draw() if _is_committed(answer) else None
        if fault:
            _log.warning("broken on purpose", fault=fault, request_id=_request_id(answer))
        hang_up = scope["extensions"][CONNECTION]["hang_up"]
        match fault:
            case "lose":
                hang_up(b"")
                return
            case "cut":
                hang_up(_beginning(answer))
                return
            case "delay":
                await asyncio.sleep(_random.uniform(0, MAX_DELAY_SECONDS))
            case "duplicate":
                answer = await self._answer(scope, _replayed(received, receive))
            case _:
                pass
        for message in answer:
            await send(message)

    async def _answer(self, scope: Scope, receive: Receive) -> list[Message]:
        """The application's whole answer; nothing where the client went away before."""
        answer: list[Message] = []

        async def hold(message: Message) -> None:
            answer.append(message)

        # A scope of its own: the application leaves its notes in it.
        await self._app({**scope}, receive, hold)
        return answer


def _hang_up(cycle: RequestResponseCycle, last_bytes: bytes) -> None:
    if not cycle.transport.is_closing():
        cycle.transport.write(last_bytes)
        cycle.transport.close()
    # uvicorn would take the missing answer for a failure of the application: it notices later, and
    # where other requests wait in the pipeline never, that the connection is gone.
    cycle.disconnected = True


def _recorded(receive: Receive, received: list[Message]) -> Receive:
    async def record() -> Message:
        received.append(await receive())
        return received[-1]

    return record


def _replayed(received: Sequence[Message], receive: Receive) -> Receive:
    messages = iter(received)

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def _is_committed(answer: Sequence[Message]) -> bool:
    return bool(answer) and 200 <= answer[0]["status"] < 300


def _request_id(answer: Sequence[Message]) -> str:
    return str(dict(answer[0]["headers"])[b"x-request-id"].decode())


def _beginning(answer: Sequence[Message]) -> bytes:
    """A part of the answer as it would have gone over the network, at least its first byte."""
    start, *parts = answer
    headers = [b"%b: %b\r\n" % (name, value) for name, value in start["headers"]]
    body = [part.get("body", b"") for part in parts]
    whole = b"".join([STATUS_LINE[start["status"]], *headers, b"\r\n", *body])
    return whole[: _random.randrange(1, len(whole))]
