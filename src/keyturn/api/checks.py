"""Answers services that check keys (contract, section 6), as plain functions of a request.

These are the requests that come by the thousand, so they are answered without the framework:
by `hot_path` for any ASGI server, and by `check_protocol` before a request even gets there. What
both of them send is decided here. Checks are counted in the metrics and not logged one by one.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

import structlog
from pydantic import BaseModel, ValidationError

from keyturn import metrics
from keyturn.actions.authenticate import authenticate_service
from keyturn.actions.service import Call, Service
from keyturn.actions.verify_key import Check, verify_key, verify_keys
from keyturn.api.begin import begin
from keyturn.api.callers import Callers
from keyturn.api.first_refusals import check_query, json_object, refuse_repeated
from keyturn.api.messages import Reply, Request
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
from keyturn.core.rotation import idempotency_key
from keyturn.core.token import Token
from keyturn.logs import failure
from keyturn.problems import Internal, MethodNotAllowed, problem
from keyturn.wire import FORWARD_AUTH, INTROSPECT, VERIFY, VERIFY_BATCH

MAX_FIELDS = 100

_NO_STORE = (b"cache-control", b"no-store")
_EMPTY = (b"content-length", b"0")
_UNRESERVED = re.compile(r"[0-9A-Za-z._~-]*")
NO_ID = "-" * 32
"""As long as a request's id is."""
_Model = TypeVar("_Model", bound=BaseModel)
_log = structlog.get_logger()


Later = Callable[[], Coroutine[Any, Any, Reply]]
"""What must run in a task: an answer for which something is changed."""
Told = Reply | Later


@dataclass(frozen=True, slots=True)
class Route:
    """One of the paths; `label` is its name in the metrics."""

    label: str
    answer: Callable[[Call, Request], Awaitable[Told]]
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

    async def reply(self, route: Route, request: Request) -> Reply:
        """The answer to a request."""
        told = await self._begun(route, request)
        return told if isinstance(told, Reply) else await told()

    def answer(self, route: Route, request: Request, tell: Callable[[Told], object]) -> Told | None:
        """The same outside of a task; None where it waits for the store, and `tell` gets it."""
        return begin(self._begun(route, request), tell)

    def refuse(self, route: Route, request: Request, error: KeyturnError) -> Reply:
        """The answer to a request whose body could not be read."""
        call = self._callers.call(request.client, request.headers, request.named)
        return self._refuse(route, call, request, error)

    async def _begun(self, route: Route, request: Request) -> Told:
        call = self._callers.call(request.client, request.headers, request.named)
        try:
            reply = await route.answer(call, request)
        except Exception as error:  # Whatever it is, the caller gets an answer.
            return self._refuse(route, call, request, error)
        if isinstance(reply, Reply):
            return _finish(route, call, request, reply)
        return partial(self._wait, route, call, request, reply)

    async def _wait(self, route: Route, call: Call, request: Request, coming: Later) -> Reply:
        try:
            return _finish(route, call, request, await coming())
        except Exception as error:  # As above.
            return self._refuse(route, call, request, error)

    async def _admit(self, call: Call, request: Request) -> Reply:
        """Forward authentication: the key is the visitor's own."""
        if request.repeats:
            _refuse_repeated_by_visitor(request)
        agent = await verify_key(self._service, call, request.bearer_token)
        return Reply(
            200,
            [
                _EMPTY,
                (b"x-agent-id", agent.id.encode()),
                (b"x-agent-name", _percent_encoded(agent.name)),
                (b"x-developer-id", agent.developer_id.encode()),
            ],
        )

    async def _verify(self, call: Call, request: Request) -> Told:
        asks, asked, once = await self._asked(call, request, VerificationRequest)
        if asked.cost:
            return partial(self._charge, call, asks, asked, once)
        try:
            found = await verify_key(self._service, call, asked.key, asks)
        except (InvalidCredentials, AgentRevoked) as refused:
            return Reply.json(_encoded(verdict(refused)))
        return Reply.json(_encoded(verdict(found)))

    async def _charge(
        self, call: Call, asks: Token, asked: VerificationRequest, once: str | None
    ) -> Reply:
        checks = [Check(asked.key, asked.cost)]
        (found,) = await verify_keys(self._service, call, asks, checks, once)
        return Reply.json(_encoded(verdict(found)))

    async def _verify_batch(self, call: Call, request: Request) -> Later:
        asks, asked, once = await self._asked(call, request, VerificationBatchRequest)
        return partial(self._charge_all, call, asks, asked, once)

    async def _charge_all(
        self, call: Call, asks: Token, asked: VerificationBatchRequest, once: str | None
    ) -> Reply:
        checks = [Check(check.key, check.cost) for check in asked.keys]
        found = await verify_keys(self._service, call, asks, checks, once)
        return Reply.json(_encoded(Verdicts(items=[verdict(each) for each in found])))

    async def _introspect(self, call: Call, request: Request) -> Reply:
        _first_refusals(request)
        asks = await authenticate_service(self._service, call, request.client_secret)
        try:
            agent = await verify_key(self._service, call, _introspected(request.body), asks)
        except (InvalidCredentials, AgentRevoked):
            return Reply.json(INACTIVE)
        return Reply.json(_encoded(ActiveToken.of(agent)))

    async def _asked(
        self, call: Call, request: Request, shape: type[_Model]
    ) -> tuple[Token, _Model, str | None]:
        """Who asks, for what, and the idempotency key."""
        members = json_object(request.body or b"{}") if request.method == "POST" else {}
        _first_refusals(request)
        asks = await authenticate_service(self._service, call, request.bearer_token)
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
            _log.error("unexpected failure", exception=failure(error), request_id=call.request_id)
            error = Internal() if route.reads_body else Unavailable("unexpected failure")
        elif isinstance(error, Unavailable):
            _log.error("unavailable", reason=str(error), request_id=call.request_id)
        metrics.count_refusal(error.code)
        shown = request.client_secret if route.label == INTROSPECT else request.bearer_token
        sent = shown is not None
        request_id = call.request_id or NO_ID
        if alike := _ALIKE.get((type(error), sent)):
            body = alike.body.replace(NO_ID.encode(), request_id.encode())
            reply = Reply(alike.status, [*alike.headers], body)
        else:
            allow = {"allow": "POST"} if isinstance(error, MethodNotAllowed) else {}
            reply = Reply.refusal(problem(error, request_id, token_sent=sent, headers=allow))
        return _finish(route, call, request, reply)


def _finish(route: Route, call: Call, request: Request, reply: Reply) -> Reply:
    metrics.count_request(request.method, route.label, reply.status)
    reply.headers.append((b"x-request-id", (call.request_id or NO_ID).encode()))
    reply.headers.append(_NO_STORE)
    return reply


_ALIKE: dict[tuple[type[KeyturnError], bool], Reply] = {
    (refusal, sent): Reply.refusal(problem(refusal(), NO_ID, token_sent=sent))
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


def _refuse_repeated_by_visitor(request: Request) -> None:
    try:
        refuse_repeated(request.headers)
    except InvalidRequest as error:
        raise InvalidCredentials from error


def _encoded(answer: BaseModel) -> bytes:
    return answer.model_dump_json(by_alias=True).encode()


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


def _percent_encoded(name: str) -> bytes:
    # To find that nothing is to be done takes `quote` several times as long.
    return (name if _UNRESERVED.fullmatch(name) else quote(name, safe="")).encode()
