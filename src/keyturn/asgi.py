"""The composition root: settings in, an ASGI application out."""

import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Receive, Scope, Send

from keyturn.actions.service import CALL, Call
from keyturn.api import (
    agents,
    audit,
    check_routes,
    developers,
    operations,
    self_service,
    tokens,
)
from keyturn.api.callers import Callers
from keyturn.api.checks import Checks
from keyturn.api.frame import Frame, refusal
from keyturn.api.hot_path import HotPath
from keyturn.api.reference import Reference
from keyturn.api.rotation import rotate_self
from keyturn.core.errors import InvalidRequest, KeyturnError
from keyturn.dashboard.app import Dashboard
from keyturn.housekeeping import running_service
from keyturn.problems import Internal, problem
from keyturn.settings import Settings
from keyturn.wire import ROTATE_SELF

_log = structlog.get_logger()
_ROUTERS = (self_service, agents, developers, tokens, audit, operations)


def create_app(settings: Settings) -> "Application":
    """The service as an ASGI application.

    A server runs its lifespan. Mounted in another application, under any prefix, it leaves that
    to its host: `FastAPI(lifespan=keyturn.lifespan)`.
    """
    return Application(settings)


class Application:
    """Checks first, then the frame, then FastAPI; open while its lifespan runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._callers = Callers(settings.trusted_proxies)
        self._api = self._make_api()
        routes = [route for module in _ROUTERS for route in module.router.routes]
        self._pages = Dashboard(settings.public_url)
        self._frame = Frame(self._api, routes=routes, pages=self._pages, callers=self._callers)
        self._hot_path = HotPath(self._frame)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and self.checks is None:
            raise RuntimeError(
                "Keyturn is not open: give its lifespan to the application that it is mounted in."
            )
        await self._hot_path(scope, receive, send)

    @property
    def checks(self) -> Checks | None:
        """What answers checks, for a server that has a shorter way; None while it is not open."""
        return self._hot_path.checks

    @contextlib.asynccontextmanager
    async def lifespan(self, _host: object = None) -> AsyncIterator[None]:
        """Open the installation, and keep house while it is open.

        Raises:
            UnusableInstallation
            RuntimeError: it is open already.
        """
        if self.checks is not None:
            raise RuntimeError("Keyturn is open already: one lifespan, of one host, is enough.")
        async with running_service(self._settings) as service:
            self._api.state.service = self._pages.app.state.service = service
            self._frame.direct = {ROTATE_SELF: partial(rotate_self, service)}
            self._hot_path.checks = Checks(service, self._callers)
            _log.info("open", process=os.getpid())
            try:
                yield
            finally:
                self._hot_path.checks = None

    def _make_api(self) -> FastAPI:
        api = FastAPI(
            lifespan=self.lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        for module in _ROUTERS:
            api.include_router(module.router)
        api.add_exception_handler(KeyturnError, _refuse)
        api.add_exception_handler(RequestValidationError, _refuse_malformed)
        api.add_exception_handler(Exception, _fail)
        described = [
            route for module in (*_ROUTERS, check_routes) for route in module.router.routes
        ]
        api.state.settings = self._settings
        api.state.reference = Reference(described, self._settings.public_url)
        return api


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, KeyturnError):
        raise error
    return refusal(error, request.scope[CALL], request.headers.get("authorization")).response()


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
