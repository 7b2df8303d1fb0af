"""What the OpenAPI document says of the routes that check keys.

They are described here as FastAPI wants it, and answered by `checks`, which never asks FastAPI.
"""

from typing import Any

from fastapi import APIRouter, Response

from keyturn.api.context import API_KEY, BASIC_SERVICE_TOKEN, EVERYWHERE, SERVICE_TOKEN
from keyturn.api.requests import VerificationBatchRequest, VerificationRequest
from keyturn.api.self_service import IdempotencyKey
from keyturn.api.verdicts import ActiveToken, BadKey, GoodKey, InactiveToken, Verdicts
from keyturn.core.errors import (
    AgentRevoked,
    ChargeRepeated,
    InvalidCredentials,
    InvalidIdempotencyKey,
    InvalidToken,
    Unavailable,
)
from keyturn.problems import documented
from keyturn.wire import FORWARD_AUTH, INTROSPECT, VERIFY, VERIFY_BATCH

router = APIRouter(tags=["Services that check keys"])

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_WHO = {
    "X-Agent-Id": "The agent.",
    "X-Agent-Name": "Its name, as percent-encoded UTF-8.",
    "X-Developer-Id": "Its developer.",
}
_ADMITTED = {
    "description": "The key is good, and this is whose it is.",
    "headers": {
        name: {"description": what, "schema": {"type": "string"}} for name, what in _WHO.items()
    },
}
_FORM = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["token"],
                "properties": {
                    "token": {"type": "string", "minLength": 1, "description": "The API key."},
                    "token_type_hint": {"type": "string", "description": "Not looked at."},
                },
            }
        }
    },
}


def _for_services(*refusals: Any, basic: bool = False) -> dict[str, Any]:
    schemes = [SERVICE_TOKEN, *([BASIC_SERVICE_TOKEN] if basic else [])]
    return {
        "responses": documented((*EVERYWHERE, InvalidToken, *refusals)),
        "openapi_extra": {"security": [{scheme: []} for scheme in schemes]},
    }


async def _admit() -> None:
    """Takes the visitor's own key, for nginx, Caddy, Traefik or Envoy in front of an API.

    Any method and any path below it are the same; query and body are not looked at.
    """


async def _admit_below(path: str) -> None:
    """The same, for proxies that add the visitor's path."""


for _method in METHODS:
    for _path, _endpoint in ((FORWARD_AUTH, _admit), (FORWARD_AUTH + "/{path}", _admit_below)):
        router.add_api_route(
            _path,
            _endpoint,
            methods=[_method],
            operation_id=f"{_endpoint.__name__.strip('_')}_{_method.lower()}",
            summary="Let a visitor in?",
            response_class=Response,
            responses={
                200: _ADMITTED,
                **documented((InvalidCredentials, AgentRevoked, Unavailable)),
            },
            openapi_extra={"security": [{API_KEY: []}]},
        )


@router.post(
    VERIFY,
    summary="Whose key is this?",
    response_model=GoodKey | BadKey,
    **_for_services(InvalidIdempotencyKey, ChargeRepeated),
)
async def verify(body: VerificationRequest, idempotency_key: IdempotencyKey = None) -> None:
    """A dead key is told from the first request after its rotation: nothing is cached.

    A cost is taken whole or not at all; with an `Idempotency-Key`, once within 24 hours.
    """


@router.post(
    VERIFY_BATCH,
    summary="Whose keys are these?",
    response_model=Verdicts,
    **_for_services(InvalidIdempotencyKey, ChargeRepeated),
)
async def verify_batch(
    body: VerificationBatchRequest, idempotency_key: IdempotencyKey = None
) -> None:
    """Up to 100 keys, answered in their order; each cost is taken whole or not at all."""


@router.post(
    INTROSPECT,
    summary="Introspect a key (RFC 7662)",
    response_model=ActiveToken | InactiveToken,
    responses=_for_services(basic=True)["responses"],
    openapi_extra={**_for_services(basic=True)["openapi_extra"], "requestBody": _FORM},
)
async def introspect() -> None:
    """For clients that speak OAuth 2; the service token may be the password of HTTP Basic."""
