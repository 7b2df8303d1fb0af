"""Answers services that check keys (contract, section 6), as plain functions of a request.

These are the requests that come by the thousand, so they are answered without the framework:
by `hot_path` for any ASGI server, and by `http_protocol` before a request even gets there. What
both of them send is decided here. Checks are counted in the metrics and not logged one by one.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
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
from keyturn.api.problems import Internal, MethodNotAllowed, problem
from keyturn.api.requests import VerificationBatchRequest, VerificationRequest
from keyturn.api.verdicts import INACTIVE, ActiveToken, Verdicts, verdict
from keyturn.core.errors import (
    AgentRevoked,
    InvalidCredentials,
    InvalidIdempotencyKey,
    InvalidRequest,
    KeyturnError,
    Unavailable,
)
from keyturn.core.rotation import bearer_token, idempotency_key
from keyturn.core.token import Token
from keyturn.wire import FORWARD_AUTH, INTROSPECT, VERIFY, VERIFY_BATCH

MAX_FIELDS = 100

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_EMPTY = (b"content-length", b"0")
_BASIC = "basic "
_Model = TypeVar("_Model", bound=BaseModel)
_log = structlog.get_logger()


class Request(NamedTuple):
    """As much of a request as a check looks at."""

    method: str
    query: bytes
    headers: Headers
    client: tuple[str, int] | None
    body: bytes = b""


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


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
        call = self._callers.call(request.client, request.headers)
        try:
            reply = route.answer(call, request)
        except Exception as error:  # Whatever it is, the caller gets an answer.
            return self._refuse(route, call, request, error)
        if isinstance(reply, Reply):
            return _finish(route, call, request, reply)
        return partial(self._wait, route, call, request, reply)

    def refuse(self, route: Route, request: Request, error: KeyturnError) -> Reply:
        """The answer to a request whose body could not be read."""
        call = self._callers.call(request.client, request.headers)
        return self._refuse(route, call, request, error)

    async def _wait(self, route: Route, call: Call, request: Request, coming: Later) -> Reply:
        try:
            return _finish(route, call, request, await coming())
        except Exception as error:  # As above.
            return self._refuse(route, call, request, error)

    def _admit(self, call: Call, request: Request) -> Reply:
        """Forward authentication: the key is the visitor's own."""
        sent = [value for name, value in request.headers if name == b"authorization"]
        key = bearer_token(sent[0].decode("latin-1")) if len(sent) == 1 else None
        agent = verify_key(self._service, call, key)
        return Reply(
            200,
            [
                _EMPTY,
                (b"x-agent-id", agent.id.encode()),
                (b"x-agent-name", quote(agent.name, safe="").encode()),
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
        asks = authenticate_service(self._service, call, _service_token(request.headers))
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
        header = header_value(request.headers, b"authorization")
        asks = authenticate_service(self._service, call, bearer_token(header))
        if members is None:
            raise InvalidRequest("body", "must be a JSON object")
        asked = _validated(shape, members)
        sent = header_value(request.headers, b"idempotency-key")
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
        allow = {"allow": "POST"} if isinstance(error, MethodNotAllowed) else {}
        sent = _token_sent(route, request.headers)
        refused = problem(error, call.request_id or "", token_sent=sent, headers=allow)
        pairs = {**refused.headers, "content-length": str(len(refused.body))}.items()
        headers = [(name.encode(), value.encode()) for name, value in pairs]
        return _finish(route, call, request, Reply(refused.status, headers, refused.body))


def _finish(route: Route, call: Call, request: Request, reply: Reply) -> Reply:
    metrics.count_request(request.method, route.label, reply.status)
    reply.headers.append((b"x-request-id", (call.request_id or "").encode()))
    reply.headers.append(_NO_STORE)
    return reply


def _first_refusals(request: Request) -> None:
    if request.method != "POST":
        raise MethodNotAllowed
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


def _service_token(headers: Headers) -> str | None:
    """The token of a Bearer header, or the password of HTTP Basic (RFC 7617)."""
    header = header_value(headers, b"authorization")
    if header is None or not header.lower().startswith(_BASIC):
        return bearer_token(header)
    try:
        pair = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    # OAuth clients encode both parts (RFC 6749, section 2.3.1).
    return unquote_plus(pair.partition(":")[2])


def _token_sent(route: Route, headers: Headers) -> bool:
    header = header_value(headers, b"authorization")
    if route.label == INTROSPECT:
        return _service_token(headers) is not None
    return bearer_token(header) is not None


def header_value(headers: Headers, wanted: bytes) -> str | None:
    """The first value of a header; None where it was not sent."""
    return next((value.decode("latin-1") for name, value in headers if name == wanted), None)
