"""What operators and their machines ask: is it alive, is it ready, how is it, how is it set up."""

import hmac
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from keyturn import metrics
from keyturn.actions.keep_house import check_ready
from keyturn.api.answers import Health
from keyturn.api.context import METRICS_TOKEN, On, public
from keyturn.api.reference import PAGE_HEADERS
from keyturn.core.errors import InvalidToken
from keyturn.core.rotation import bearer_token

router = APIRouter(tags=["Service"])


@router.get("/healthz", summary="Is the process alive?", **public())
async def healthz() -> Health:
    """It answers as long as the process does."""
    return Health(status="alive")


@router.get("/readyz", summary="Can it serve?", **public())
async def readyz(on: On) -> Health:
    """Both stores answer, and their schemas are current."""
    await check_ready(on.service)
    return Health(status="ready")


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    openapi_extra={"security": [{METRICS_TOKEN: []}, {}]},
    **public(InvalidToken),
)
async def show_metrics(on: On, request: Request) -> Response:
    """For callers on the same machine, and for whoever has KEYTURN_METRICS_TOKEN."""
    # A proxy that we don't trust hides who asks behind a loopback address.
    local = on.call.address.loopback and not on.call.hidden
    expected = request.app.state.settings.metrics_token
    sent = bearer_token(request.headers.get("authorization")) or ""
    known = expected is not None and hmac.compare_digest(
        sent.encode(), expected.get_secret_value().encode()
    )
    if not local and not known:
        raise InvalidToken
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


@router.get("/docs", summary="This API, for people", response_class=HTMLResponse, **public())
def docs(request: Request) -> HTMLResponse:
    """A page made from the OpenAPI document, with nothing from elsewhere."""
    return HTMLResponse(request.app.state.reference.page, headers=PAGE_HEADERS)


@router.get("/openapi.json", summary="This API, for programs", **public())
def openapi(request: Request) -> dict[str, Any]:
    """The OpenAPI document of exactly the live routes."""
    document: dict[str, Any] = request.app.state.reference.document
    return document
