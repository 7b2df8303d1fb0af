"""What happens to every request before and after its handler (section 2 of the contract).

Before: a request id, the client's address, and the refusals that come before everything else.
After: the headers that every answer has, one log line, the metrics. A plain ASGI middleware.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote_plus

import structlog
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn import metrics
from keyturn.actions.service import Call
from keyturn.api.json_body import DuplicateMember, MalformedJson, read_json
from keyturn.api.problems import (
    BodyTooLarge,
    Internal,
    MethodNotAllowed,
    NotFound,
    Problem,
    RequestTimeout,
    problem,
)
from keyturn.core.client_address import (
    ClientAddress,
    IPNetwork,
    client_address,
    is_trusted_peer,
)
from keyturn.core.credential import contains_credential
from keyturn.core.errors import InvalidRequest, KeyturnError

MAX_BODY = 8192
BODY_SECONDS = 10.0
MAX_RETRY_SECONDS = {"rotation": 900}
"""By the limit's name. Any other's Retry-After says when an attempt is left."""
UNKNOWN = "unknown"
"""The route of a path that there is not."""
CALL = "keyturn.call"
"""Where the scope has the request's `Call`."""
NO_OBJECT = b"false"
"""What the application is given instead of a body that is not a JSON object."""
FORWARDED = "keyturn.forwarded"
"""Where the scope says that an untrusted peer has sent a forwarding header."""

_SENT_ONCE = (b"authorization", b"idempotency-key", b"host")
_FORWARDING_HEADERS = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})
_log = structlog.get_logger()


class Disconnected(Exception):
    """The client went away before its body was complete."""


class Frame:
    """Wraps the application; `routes` are asked which paths and methods there are."""

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], trusted: Sequence[IPNetwork]
    ) -> None:
        self._app = app
        self._routes = routes
        self._by_path: dict[str, list[BaseRoute]] = {}
        for route in routes:
            self._by_path.setdefault(getattr(route, "path", ""), []).append(route)
        self._trusted = trusted
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = Exchange(scope, self._call(scope), send)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._answer(exchange, scope, receive)
            except Disconnected:
                return
            except Exception:
                _log.exception("unexpected failure")
                await exchange.send_problem(problem(Internal(), exchange.request_id))
            finally:
                _note(exchange, time.perf_counter() - started)

    async def _answer(self, exchange: "Exchange", scope: Scope, receive: Receive) -> None:
        try:
            exchange.route = self._find_route(scope)
            headers = scope["headers"]
            body = _checked(await _read_body(headers, receive))
            _refuse_repeated(headers)
            _check_query(scope["query_string"])
            if exchange.route == UNKNOWN:
                raise NotFound
        except KeyturnError as error:
            metrics.REFUSALS.labels(error.code).inc()
            allow = {"allow": self._allow(scope)} if type(error) is MethodNotAllowed else {}
            await exchange.send_problem(problem(error, exchange.request_id, headers=allow))
            return
        await self._app(_as_json(scope, body), _replay(body, receive), exchange.send)

    def _find_route(self, scope: Scope) -> str:
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
        return self._by_path.get(_route_path(scope), self._routes)

    def _call(self, scope: Scope) -> Call:
        peer = scope["client"][0] if scope.get("client") else None
        lines = _values(scope, b"x-forwarded-for")
        if _FORWARDING_HEADERS & {name for name, _ in scope["headers"]}:
            scope[FORWARDED] = not is_trusted_peer(peer, self._trusted)
            if scope[FORWARDED]:
                self._warn(client_address(peer, [], ()))
        address = client_address(peer, lines, self._trusted)
        agent = _values(scope, b"user-agent")
        return Call(address, secrets.token_hex(16), agent[0] if agent else None)

    def _warn(self, peer: ClientAddress) -> None:
        metrics.UNTRUSTED_FORWARDED.inc()
        if not self._warned:
            self._warned = True
            _log.warning(
                "a peer that is not in KEYTURN_TRUSTED_PROXIES sends a forwarding header; "
                "it is ignored",
                peer=peer.text,
            )


class Exchange:
    """One request and the answer on its way out."""

    def __init__(self, scope: Scope, call: Call, send: Send) -> None:
        self.call = call
        self.request_id = call.request_id or ""
        self.method: str = scope["method"]
        self.route = UNKNOWN
        self.status = 0
        self._private = _route_path(scope).startswith("/v1")
        self._send = send
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
        pairs = {**answer.headers, "content-length": str(len(answer.body))}.items()
        headers = [(name.encode(), value.encode()) for name, value in pairs]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": answer.body})

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


async def _read_body(headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> bytes:
    lengths = [value for name, value in headers if name == b"content-length"]
    if not all(map(_is_small, lengths)):
        raise BodyTooLarge
    body: bytes = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise BodyTooLarge
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise RequestTimeout from None


def _is_small(length: bytes) -> bool:
    # Python reads no number of thousands of digits.
    digits = length.lstrip(b"0") or b"0"
    return length.isdigit() and len(digits) <= 4 and int(digits) <= MAX_BODY


def _checked(body: bytes) -> bytes:
    """The body, or `NO_OBJECT`: each route says itself when it refuses that."""
    try:
        return body if not body or isinstance(read_json(body), dict) else NO_OBJECT
    except DuplicateMember:
        raise InvalidRequest("body", "must not name a member twice") from None
    except MalformedJson:
        return NO_OBJECT


def _refuse_repeated(headers: Sequence[tuple[bytes, bytes]]) -> None:
    for once in _SENT_ONCE:
        if sum(name == once for name, _ in headers) > 1:
            raise InvalidRequest(once.decode().title(), "must be sent once")


def _check_query(query: bytes) -> None:
    text = query.decode("latin-1")
    names = [name for name, _ in parse_qsl(text, keep_blank_values=True)]
    if "access_token" in names or contains_credential(text + " " + unquote_plus(text)):
        raise InvalidRequest("query", "must not contain a credential: send it in Authorization")
    for name, times in Counter(names).items():
        if times > 1:
            raise InvalidRequest(name, "must be sent once")


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
    metrics.REQUESTS.labels(exchange.method, exchange.route, status).inc()
    metrics.SECONDS.labels(exchange.route).observe(seconds)
    _log.info(
        "request",
        method=exchange.method,
        route=exchange.route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        address=exchange.call.address.text,
    )


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for header, value in scope["headers"] if header == name]


def _route_path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
