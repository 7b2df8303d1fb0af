"""The composition root: settings in, an ASGI application out."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp

from keyturn import metrics
from keyturn.actions.keep_house import Housekeeping
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.service import Call, Service
from keyturn.api import agents, audit, developers, operations, self_service, tokens
from keyturn.api.frame import CALL, Frame
from keyturn.api.problems import Internal, problem
from keyturn.api.reference import describe, reference_page
from keyturn.core.errors import InvalidRequest, KeyturnError, Unavailable
from keyturn.core.rotation import bearer_token
from keyturn.installation import LOST_COMMIT_EXIT, open_service
from keyturn.settings import Settings

FAST_SECONDS = 0.5
SLOW_SECONDS = 60.0
LAST_ANSWERS_SECONDS = 1.0

_log = structlog.get_logger()
_ROUTERS = (self_service, agents, developers, tokens, audit, operations)


def create_app(settings: Settings) -> ASGIApp:
    """The service as an ASGI application, which opens the installation when it starts.

    Raises (at start):
        UnusableInstallation
    """
    routes = [route for module in _ROUTERS for route in module.router.routes]
    app = FastAPI(
        lifespan=_lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    app.add_exception_handler(KeyturnError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_malformed)
    app.add_exception_handler(Exception, _fail)
    app.state.settings = settings
    app.state.openapi_document = describe(routes, settings.public_url)
    app.state.reference_page = reference_page(app.state.openapi_document)
    return Frame(app, routes=routes, trusted=settings.trusted_proxies)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with open_service(app.state.settings, _end_process) as service:
        app.state.service = service
        housekeeping = Housekeeping()
        often = (write_uses, move_refusals_to_trail, housekeeping.expire_receipts)
        tasks = [
            asyncio.create_task(_repeat(FAST_SECONDS, service, *often)),
            asyncio.create_task(_repeat(SLOW_SECONDS, service, housekeeping.run)),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await write_uses(service)
            await move_refusals_to_trail(service)


async def _repeat(
    seconds: float, service: Service, *steps: Callable[[Service], Awaitable[object]]
) -> None:
    while True:
        for step in steps:
            try:
                await step(service)
            except Unavailable as error:
                _log.warning("housekeeping waits", step=step.__name__, reason=str(error))
            except Exception:
                _log.exception("housekeeping failed", step=step.__name__)
        await asyncio.sleep(seconds)


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, KeyturnError):
        raise error
    metrics.REFUSALS.labels(error.code).inc()
    if isinstance(error, Unavailable):
        _log.error("unavailable", reason=str(error))
    call: Call = request.scope[CALL]
    sent = bearer_token(request.headers.get("authorization")) is not None
    return problem(error, call.request_id or "", token_sent=sent).response()


async def _fail(request: Request, _error: Exception) -> Response:
    # The framework raises the error again when this is sent, and the frame logs it.
    call: Call = request.scope[CALL]
    return problem(Internal(), call.request_id or "").response()


async def _refuse_malformed(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    member = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return await _refuse(request, InvalidRequest(member, first["msg"]))


def _end_process() -> None:
    """A commit was lost: leave, once those who wait have been told (see `SqliteStore`)."""
    _log.critical("the disk failed within a commit: the process ends, and must be started again")
    threading.Timer(LAST_ANSWERS_SECONDS, os._exit, (LOST_COMMIT_EXIT,)).start()
