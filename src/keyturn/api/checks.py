"""Answers services that check keys (contract, section 6), as plain functions of a request.

These are the requests that come by the thousand, so they are answered without the framework:
by `hot_path` for any ASGI server, and by `http_protocol` before a request even gets there. What
both of them send is decided here. Checks are counted in the metrics and not logged one by one.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote_plus

import structlog
from pydantic import BaseModel, ValidationError

from keyturn import metrics
from keyturn.actions.authenticate import authenticate_service
from keyturn.actions.service import Call, Service
from keyturn.actions.verify_key import Check, verify_key, verify_keys
from keyturn.api.callers import Callers
from keyturn.api.first_refusals import Headers, check_query, json_object, refuse_repeated
from keyturn.api.problems import Internal, MethodNotAllowed, Problem, problem
from keyturn.api.requests import VerificationBatchRequest, VerificationRequest
from keyturn.api.verdicts import INACTIVE, ActiveToken, Verdicts, verdict
from keyturn.core.errors import (
    AgentRevoked,
    InvalidCredentials,
    InvalidIdempotencyKey,
    InvalidRequest,
    InvalidToken,
    KeyturnError,
    Unavailable,
)
from keyturn.core.rotation import bearer_token, idempotency_key
from keyturn.core.token import Token
from keyturn.wire import FORWARD_AUTH, INTROSPECT, VERIFY, VERIFY_BATCH

MAX_FIELDS = 100
AUTHORIZATION = b"authorization"

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_EMPTY = (b"content-length", b"0")
_BASIC = "basic "
NO_ID = "-" * 32
"""As long as a request's id is."""
_Model = TypeVar("_Model", bound=BaseModel)
_log = structlog.get_logger()


@dataclass(slots=True)
class Request:
    """As much of a request as a check looks at; `named` has each header once."""

    method: str
    query: bytes
    headers: Headers
    named: dict[bytes, bytes]
    client: tuple[str, int] | None
    body: bytes = b""

    def header(self, name: bytes) -> str | None:
        """A header's value as text."""
        value = self.named.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def repeats(self) -> bool:
        """Whether any header came more than once."""
        return len(self.named) != len(self.headers)


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def head(self, before: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Its headers after those, as they are written in HTTP/1.1."""
        return b"".join([b"%b: %b\r\n" % pair for pair in (*before, *self.headers)]) + b"\r\n"


Later = Callable[[], Coroutine[Any, Any, Reply]]
"""An answer that waits for the store's writer."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of the paths; `label` is its name in the metrics."""

    label: str
    answer: Callable[[Call, Request], Reply | Later]
    reads_body: bool = True


class Checks:
    """The routes, on one installation."""

    def __init__(self, service: Service, callers: Callers) -> None:
        self._service = service
        self._callers = callers
        self._forward_auth = Route(FORWARD_AUTH, self._admit, reads_body=False)
        self._routes = {
            FORWARD_AUTH: self._forward_auth,
            VERIFY: Route(VERIFY, self._verify),
            VERIFY_BATCH: Route(VERIFY_BATCH, self._verify_batch),
            INTROSPECT: Route(INTROSPECT, self._introspect),
        }

    def route(self, path: str) -> Route | None:
        """The route that a path belongs to, or None where it is none of these."""
        if path.startswith(FORWARD_AUTH + "/"):
            return self._forward_auth
        return self._routes.get(path)

    def answer(self, route: Route, request: Request) -> Reply | Later:
        """The answer to a request; `Later` where it must wait. Nothing has changed until then."""
        call = self._callers.call(request.client, request.headers, request.named)
        try:
            reply = route.answer(call, request)
        except Exception as error:  # Whatever it is, the caller gets an answer.
            return self._refuse(route, call, request, error)
        if isinstance(reply, Reply):
            return _finish(route, call, request, reply)
        return partial(self._wait, route, call, request, reply)

    def refuse(self, route: Route, request: Request, error: KeyturnError) -> Reply:
        """The answer to a request whose body could not be read."""
        call = self._callers.call(request.client, request.headers, request.named)
        return self._refuse(route, call, request, error)

    async def _wait(self, route: Route, call: Call, request: Request, coming: Later) -> Reply:
        try:
            return _finish(route, call, request, await coming())
        except Exception as error:  # As above.
            return self._refuse(route, call, request, error)

    def _admit(self, call: Call, request: Request) -> Reply:
        """Forward authentication: the key is the visitor's own."""
        if request.repeats and [name for name, _ in request.headers].count(AUTHORIZATION) > 1:
            raise InvalidCredentials
        agent = verify_key(self._service, call, bearer_token(request.header(AUTHORIZATION)))
        return Reply(
            200,
            [
                _EMPTY,
                (b"x-agent-id", agent.id.encode()),
                (b"x-agent-name", _percent_encoded(agent.name)),
                (b"x-developer-id", agent.developer_id.encode()),
            ],
        )

    def _verify(self, call: Call, request: Request) -> Reply | Later:
        asks, asked, once = self._asked(call, request, VerificationRequest)
        if asked.cost:
            return partial(self._charge, call, asks, asked, once)
        try:
            found = verify_key(self._service, call, asked.key, asks)
        except (InvalidCredentials, AgentRevoked) as refused:
            return json_reply(verdict(refused))
        return json_reply(verdict(found))

    async def _charge(
        self, call: Call, asks: Token, asked: VerificationRequest, once: str | None
    ) -> Reply:
        checks = [Check(asked.key, asked.cost)]
        (found,) = await verify_keys(self._service, call, asks, checks, once)
        return json_reply(verdict(found))

    def _verify_batch(self, call: Call, request: Request) -> Later:
        asks, asked, once = self._asked(call, request, VerificationBatchRequest)
        return partial(self._charge_all, call, asks, asked, once)

    async def _charge_all(
        self, call: Call, asks: Token, asked: VerificationBatchRequest, once: str | None
    ) -> Reply:
        checks = [Check(check.key, check.cost) for check in asked.keys]
        found = await verify_keys(self._service, call, asks, checks, once)
        return json_reply(Verdicts(items=[verdict(each) for each in found]))

    def _introspect(self, call: Call, request: Request) -> Reply:
        _first_refusals(request)
        asks = authenticate_service(self._service, call, _service_token(request))
        try:
            agent = verify_key(self._service, call, _introspected(request.body), asks)
        except (InvalidCredentials, AgentRevoked):
            return Reply(200, [_JSON, (b"content-length", b"%d" % len(INACTIVE))], INACTIVE)
        return json_reply(ActiveToken.of(agent))

    def _asked(
        self, call: Call, request: Request, shape: type[_Model]
    ) -> tuple[Token, _Model, str | None]:
        """Who asks, for what, and the idempotency key."""
        members = json_object(request.body or b"{}") if request.method == "POST" else {}
        _first_refusals(request)
        token = bearer_token(request.header(AUTHORIZATION))
        asks = authenticate_service(self._service, call, token)
        if members is None:
            raise InvalidRequest("body", "must be a JSON object")
        asked = _validated(shape, members)
        sent = request.header(b"idempotency-key")
        once = idempotency_key(sent) if sent is not None else None
        if sent is not None and once is None:
            raise InvalidIdempotencyKey
        return asks, asked, once

    def _refuse(self, route: Route, call: Call, request: Request, error: Exception) -> Reply:
        if not isinstance(error, KeyturnError):
            _log.error("unexpected failure", exc_info=error, request_id=call.request_id)
            error = Internal() if route.reads_body else Unavailable("unexpected failure")
        elif isinstance(error, Unavailable):
            _log.error("unavailable", reason=str(error), request_id=call.request_id)
        metrics.count_refusal(error.code)
        sent = _token_sent(route, request)
        refused = _ALIKE.get((type(error), sent))
        if refused is None:
            allow = {"allow": "POST"} if isinstance(error, MethodNotAllowed) else {}
            refused = _written(problem(error, NO_ID, token_sent=sent, headers=allow))
        body = refused.body.replace(NO_ID.encode(), (call.request_id or NO_ID).encode())
        return _finish(route, call, request, Reply(refused.status, [*refused.headers], body))


def _finish(route: Route, call: Call, request: Request, reply: Reply) -> Reply:
    metrics.count_request(request.method, route.label, reply.status)
    reply.headers.append((b"x-request-id", (call.request_id or NO_ID).encode()))
    reply.headers.append(_NO_STORE)
    return reply


def _written(refused: Problem) -> Reply:
    pairs = {**refused.headers, "content-length": str(len(refused.body))}.items()
    headers = [(name.encode(), value.encode()) for name, value in pairs]
    return Reply(refused.status, headers, refused.body)


_ALIKE: dict[tuple[type[KeyturnError], bool], Reply] = {
    (refusal, sent): _written(problem(refusal(), NO_ID, token_sent=sent))
    for refusal in (InvalidCredentials, AgentRevoked, InvalidToken)
    for sent in (True, False)
}
"""What floods are made of: the same each time but for the request's id."""


def _first_refusals(request: Request) -> None:
    if request.method != "POST":
        raise MethodNotAllowed
    if request.repeats:
        refuse_repeated(request.headers)
    check_query(request.query)


def json_reply(answer: BaseModel) -> Reply:
    """200, and the answer's members as JSON."""
    body = answer.model_dump_json(by_alias=True).encode()
    return Reply(200, [_JSON, (b"content-length", b"%d" % len(body))], body)


def _validated(shape: type[_Model], members: dict[str, Any]) -> _Model:
    try:
        return shape.model_validate(members)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        member = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(member, first["msg"]) from None


def _introspected(form: bytes) -> str:
    """The token of the form (RFC 7662, section 2.1); one without a value counts as left out."""
    try:
        fields = parse_qsl(form.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidRequest("body", f"must have at most {MAX_FIELDS} fields") from None
    tokens = [value for name, value in fields if name == "token"]
    if len(tokens) != 1:
        raise InvalidRequest("token", "must be sent once")
    return tokens[0]


def _service_token(request: Request) -> str | None:
    """The token of a Bearer header, or the password of HTTP Basic (RFC 7617)."""
    header = request.header(AUTHORIZATION)
    if header is None or not header.lower().startswith(_BASIC):
        return bearer_token(header)
    try:
        pair = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    # OAuth clients encode both parts (RFC 6749, section 2.3.1).
    return unquote_plus(pair.partition(":")[2])


def _token_sent(route: Route, request: Request) -> bool:
    if route.label == INTROSPECT:
        return _service_token(request) is not None
    return bearer_token(request.header(AUTHORIZATION)) is not None


@lru_cache(1024)
def _percent_encoded(name: str) -> bytes:
    return quote(name, safe="").encode()
