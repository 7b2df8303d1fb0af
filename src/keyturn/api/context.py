"""What a handler is given: the service, its call, and who has authenticated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from keyturn.actions.authenticate import authenticate_agent, authenticate_developer
from keyturn.actions.service import CALL, Call, Principal, Service
from keyturn.api.first_refusals import NO_OBJECT
from keyturn.core.agent import Agent
from keyturn.core.errors import (
    AgentRevoked,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    KeyturnError,
    Unavailable,
)
from keyturn.problems import BodyTooLarge, Internal, RequestTimeout, documented

EVERYWHERE = (InvalidRequest, RequestTimeout, BodyTooLarge, Internal, Unavailable)
"""What every route may answer."""
API_KEY = "apiKey"
DEVELOPER_TOKEN = "developerToken"
SERVICE_TOKEN = "serviceToken"
BASIC_SERVICE_TOKEN = "basicServiceToken"
METRICS_TOKEN = "metricsToken"
SECURITY_SCHEMES = {
    API_KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_live_ak_…",
        "description": "An agent's current API key.",
    },
    DEVELOPER_TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_live_dt_…",
        "description": "A developer's token.",
    },
    SERVICE_TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_live_sv_…",
        "description": "A service's token.",
    },
    BASIC_SERVICE_TOKEN: {
        "type": "http",
        "scheme": "basic",
        "description": "Any user name, and a service's token as the password.",
    },
    METRICS_TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "KEYTURN_METRICS_TOKEN",
        "description": "The token of that setting; callers on the same machine need none.",
    },
}


@dataclass(frozen=True, slots=True)
class Context:
    """The service and the call that is being answered."""

    service: Service
    call: Call


def service_of(request: Request) -> Service:
    """The service that the application has opened."""
    service: Service = request.app.state.service
    return service


async def _context(request: Request) -> Context:
    return Context(service_of(request), request.scope[CALL])


On = Annotated[Context, Depends(_context)]


async def _refuse_malformed_body(request: Request) -> None:
    """Also where no body is taken: a request that is half garbage must change nothing."""
    if await request.body() == NO_OBJECT:
        raise InvalidRequest("body", "must be a JSON object")


async def _developer(on: On, request: Request) -> Principal:
    header = request.headers.get("authorization")
    principal = await authenticate_developer(on.service, on.call, header)
    await _refuse_malformed_body(request)
    return principal


async def _agent(on: On, request: Request) -> Agent:
    agent = await authenticate_agent(on.service, on.call, request.headers.get("authorization"))
    await _refuse_malformed_body(request)
    return agent


AgentId = Annotated[str, Path(alias="agentId")]
DeveloperId = Annotated[str, Path(alias="developerId")]
TokenId = Annotated[str, Path(alias="tokenId")]
ByDeveloper = Annotated[Principal, Depends(_developer)]
ByAgent = Annotated[Agent, Depends(_agent)]


def public(*refusals: type[KeyturnError]) -> dict[str, Any]:
    """A route's documentation: it answers anybody, or refuses in these ways."""
    return {**_described(refusals), "dependencies": [Depends(_refuse_malformed_body)]}


def for_agents(*refusals: type[KeyturnError]) -> dict[str, Any]:
    """A route's documentation: an agent's API key is needed."""
    return _secured(API_KEY, InvalidCredentials, AgentRevoked, *refusals)


def for_developers(*refusals: type[KeyturnError]) -> dict[str, Any]:
    """A route's documentation: a developer's token is needed."""
    return _secured(DEVELOPER_TOKEN, InvalidToken, *refusals)


def _secured(scheme: str, *refusals: type[KeyturnError]) -> dict[str, Any]:
    return {**_described(refusals), "openapi_extra": {"security": [{scheme: []}]}}


def _described(refusals: Iterable[type[KeyturnError]]) -> dict[str, Any]:
    return {"responses": documented((*EVERYWHERE, *refusals))}
