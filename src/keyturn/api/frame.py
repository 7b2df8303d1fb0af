"""What happens to every request before and after its handler (section 2 of the contract).

Before: a request id, the client's address, and the refusals that come before everything else.
After: the headers that every answer has, one log line, the metrics. A plain ASGI middleware.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn import metrics
from keyturn.actions.service import CALL, Call
from keyturn.api.callers import Callers
from keyturn.api.first_refusals import (
    MAX_BODY,
    MAX_FORM,
    NO_OBJECT,
    Disconnected,
    check_query,
    json_object,
    read_body,
    refuse_repeated,
)
from keyturn.api.hot_path import route_path
from keyturn.api.messages import AUTHORIZATION, Reply, Request
from keyturn.core.errors import KeyturnError, Unavailable
from keyturn.core.rotation import bearer_token
from keyturn.logs import failure
from keyturn.problems import (
    Internal,
    MethodNotAllowed,
    NotFound,
    Problem,
    problem,
)

Direct = Callable[[Call, Request, dict[str, Any] | None], Awaitable[Reply]]
"""Answers a call; the last is the body's members, where that is a JSON object."""

MAX_RETRY_SECONDS = {"rotation": 900}
"""By the limit's name. Any other's Retry-After says when an attempt is left."""
UNKNOWN = "unknown"
"""The route of a path that there is not."""

_log = structlog.get_logger()


class Pages(Protocol):
    """The application of what is for people."""

    @property
    def routes(self) -> Sequence[BaseRoute]: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def has(self, path: str) -> bool:
        """Whether a path is one of its own."""

    def error(self, scope: Scope, refused: Problem) -> Problem:
        """An error as people see it."""


class Frame:
    """Wraps the applications; `routes` are asked which paths and methods there are."""

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], pages: Pages, callers: Callers
    ) -> None:
        self._app = app
        self._pages = pages
        self._routes = [*routes, *pages.routes]
        self._by_path: dict[str, list[BaseRoute]] = {}
        for route in self._routes:
            self._by_path.setdefault(getattr(route, "path", ""), []).append(route)
        self._plain = {
            (method, path)
            for path, here in self._by_path.items()
            for route in here
            for method in getattr(route, "methods", None) or ()
        }
        """Most routes have no parameters, and are found without asking any."""
        self._callers = callers
        self.direct: Mapping[str, Direct] = {}
        """What is answered past the application, by route; set while the installation is open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request = _request(scope)
        call = self._callers.call(request.client, request.headers, request.named)
        exchange = Exchange(scope, call, send, self._pages)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._answer(exchange, request, scope, receive)
            except Disconnected:
                return
            except Exception as error:
                _log.error("unexpected failure", exception=failure(error))
                await exchange.send_problem(problem(Internal(), exchange.request_id))
            finally:
                _note(exchange, time.perf_counter() - started)

    async def _answer(
        self, exchange: "Exchange", request: Request, scope: Scope, receive: Receive
    ) -> None:
        try:
            exchange.route = self._find_route(scope)
            limit = MAX_FORM if exchange.for_people else MAX_BODY
            body = await read_body(request.headers, receive, limit)
            members = json_object(body) if body and not exchange.for_people else None
            if request.repeats:
                refuse_repeated(request.headers)
            check_query(request.query)
            if exchange.route == UNKNOWN:
                raise NotFound
            if direct := self.direct.get(exchange.route):
                await exchange.send_reply(await direct(exchange.call, request, members))
                return
        except KeyturnError as error:
            allow = {"allow": self._allow(scope)} if type(error) is MethodNotAllowed else {}
            sent = request.header(AUTHORIZATION)
            await exchange.send_problem(refusal(error, exchange.call, sent, headers=allow))
            return
        if exchange.for_people:
            await self._pages(scope, _replay(body, receive), exchange.send)
            return
        if body and members is None:
            # Each route says itself when it refuses that.
            body = NO_OBJECT
        await self._app(_as_json(scope, body), _replay(body, receive), exchange.send)

    def _find_route(self, scope: Scope) -> str:
        path = route_path(scope)
        if (scope["method"], path) in self._plain:
            return path
        matches = [(route.matches(scope)[0], route) for route in self._candidates(scope)]
        for match, route in matches:
            if match is Match.FULL:
                return str(getattr(route, "path", ""))
        if any(match is Match.PARTIAL for match, _ in matches):
            raise MethodNotAllowed
        return UNKNOWN

    def _allow(self, scope: Scope) -> str:
        methods: set[str] = set()
        for route in self._candidates(scope):
            if route.matches(scope)[0] is Match.PARTIAL:
                methods |= getattr(route, "methods", None) or set()
        return ", ".join(sorted(methods))

    def _candidates(self, scope: Scope) -> Sequence[BaseRoute]:
        # /v1/agents/self is a page of its own, and no agent that is called "self".
        return self._by_path.get(route_path(scope), self._routes)


def refusal(
    error: KeyturnError,
    call: Call,
    authorization: str | None,
    *,
    headers: dict[str, str] | None = None,
) -> Problem:
    """The answer to a request that is refused, which is counted."""
    metrics.count_refusal(error.code)
    if isinstance(error, Unavailable):
        _log.error("unavailable", reason=str(error))
    token_sent = bearer_token(authorization) is not None
    return problem(error, call.request_id or "", token_sent=token_sent, headers=headers)


class Exchange:
    """One request and the answer on its way out."""

    def __init__(self, scope: Scope, call: Call, send: Send, pages: Pages) -> None:
        self.call = call
        self.for_people = pages.has(route_path(scope))
        self.request_id = call.request_id or ""
        self.method: str = scope["method"]
        self.route = UNKNOWN
        self.status = 0
        self._private = route_path(scope).startswith("/v1")
        self._send = send
        self._scope = scope
        self._pages = pages
        scope[CALL] = call

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._own_headers()]}
        await self._send(message)

    async def send_problem(self, answer: Problem) -> None:
        """Answer with an error, unless the answer has begun already."""
        if self.status:
            return
        if self.for_people:
            answer = self._pages.error(self._scope, answer)
        await self.send_reply(Reply.refusal(answer))

    async def send_reply(self, reply: Reply) -> None:
        """Answer with this."""
        start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": reply.body})

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", self.request_id.encode())]
        if self._private:
            headers.append((b"cache-control", b"no-store"))
        if verdict := self.call.verdict:
            limit = verdict.limit
            policy = f'"{limit.name}";q={limit.quota};w={limit.window_seconds}'
            left = f'"{limit.name}";r={verdict.remaining};t={verdict.reset_seconds}'
            headers += [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
            if not verdict.allowed:
                seconds = verdict.reset_seconds
                after = min(seconds, MAX_RETRY_SECONDS.get(limit.name, seconds))
                headers.append((b"retry-after", str(after).encode()))
        return headers


def _request(scope: Scope) -> Request:
    headers = scope["headers"]
    query, client = scope["query_string"], scope.get("client")
    return Request(scope["method"], query, headers, dict(headers), client)


def _as_json(scope: Scope, body: bytes) -> Scope:
    """JSON is parsed whatever the Content-Type says."""
    if not body:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", b"application/json")]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the application the body that was read already."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _note(exchange: Exchange, seconds: float) -> None:
    status = exchange.status or 499
    metrics.time_request(exchange.method, exchange.route, status, seconds)
    _log.info(
        "request",
        method=exchange.method,
        route=exchange.route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        address=exchange.call.address.text,
    )
