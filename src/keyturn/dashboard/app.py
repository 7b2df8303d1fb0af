"""The dashboard as an application of its own, beside the API."""

from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from keyturn.actions.service import CALL
from keyturn.core.errors import (
    InvalidRequest,
    InvalidToken,
    KeyturnError,
    SessionEnded,
    Unavailable,
)
from keyturn.dashboard import (
    account,
    agent,
    agent_dangers,
    agents,
    audit,
    developers,
    flash,
    overview,
    sign_in,
    tokens,
)
from keyturn.dashboard.rendering import SECURITY_HEADERS, error_page, static_files
from keyturn.problems import Internal, OutcomeUnknown, Problem, problem

FOREVER = "public, max-age=31536000, immutable"
ENDED = "Your session has ended. Sign in to go on."

router = APIRouter()
# "agents/new" comes before an agent's own page.
_PAGES = (
    sign_in, overview, agents, agent_dangers, agent, audit, tokens, developers, account,
)  # fmt: skip


class Dashboard:
    """Its pages as an ASGI application, and how errors look in it."""

    def __init__(self, public_url: str) -> None:
        self.app = FastAPI(openapi_url=None, redirect_slashes=False)
        self.app.state.public_url = public_url
        for module in _PAGES:
            self.app.include_router(module.router)
        self.app.include_router(router)
        self.app.add_exception_handler(KeyturnError, _refuse)
        self.app.add_exception_handler(RequestValidationError, _refuse_malformed)
        self.app.add_exception_handler(Exception, _fail)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_guarded)

    @property
    def routes(self) -> list[BaseRoute]:
        return [*_ROUTES]

    @staticmethod
    def has(path: str) -> bool:
        """Whether a path is for people."""
        return path in ("/setup", "/dashboard") or path.startswith("/dashboard/")

    @staticmethod
    def error(scope: Scope, refused: Problem) -> Problem:
        """An error as a page."""
        return error_page(scope.get("root_path", ""), refused)


@router.get("/dashboard/static/{name}")
async def static_file(name: str, v: str = "") -> Response:
    file = static_files().get(name)
    if file is None:
        return Response(status_code=404)
    headers = {"Cache-Control": FOREVER if v == file.version else "no-cache"}
    return Response(file.content, media_type=file.media_type, headers=headers)


@router.get("/dashboard/")
async def overview_without_slash(request: Request) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + "/dashboard", 308)


_ROUTES = [
    route
    for one in (router, *(module.router for module in _PAGES))
    for route in one.routes
    if isinstance(route, APIRoute)
]
for _route in _ROUTES:
    if _route.methods and "GET" in _route.methods:
        # RFC 9110, section 9.3.2: the server leaves the body out.
        _route.methods.add("HEAD")


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, KeyturnError):
        raise error
    if isinstance(error, SessionEnded | InvalidToken):
        return _to_sign_in(request)
    if isinstance(error, Unavailable) and request.method == "POST":
        return _shown(request, OutcomeUnknown(*error.args))
    return _shown(request, error)


async def _refuse_malformed(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    return _shown(request, InvalidRequest(str(first["loc"][-1]), first["msg"]))


async def _fail(request: Request, _error: Exception) -> Response:
    # The framework raises the error again when this is sent, and the frame logs it.
    return _shown(request, Internal())


def _to_sign_in(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    path = request.url.path.removeprefix(root)
    sign_in_path = "/dashboard/sign-in"
    if request.method == "POST":
        response = RedirectResponse(root + sign_in_path, 303)
        flash.leave(request, response, sign_in_path, ENDED)
        return response
    asked = f"{path}?{request.url.query}" if request.url.query else path
    query = "" if path == "/dashboard" else f"?next={quote(asked, safe='')}"
    return RedirectResponse(root + sign_in_path + query, 303)


def _shown(request: Request, error: KeyturnError) -> Response:
    refused = problem(error, request.scope[CALL].request_id or "")
    return Dashboard.error(request.scope, refused).response()
