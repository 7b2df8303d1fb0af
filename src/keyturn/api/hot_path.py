"""The way of checks through any ASGI server: past the framework."""

from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.api.checks import Checks, Route
from keyturn.api.first_refusals import Disconnected, read_body
from keyturn.api.messages import Reply, Request
from keyturn.problems import BodyTooLarge, RequestTimeout


def route_path(scope: Scope) -> str:
    """The path without the prefix that the application is mounted under."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class HotPath:
    """Answers checks itself and gives everything else to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.checks: Checks | None = None
        """Set while the installation is open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        checks = self.checks if scope["type"] == "http" else None
        route = checks.route(route_path(scope)) if checks else None
        if checks is None or route is None:
            await self._app(scope, receive, send)
            return
        try:
            reply = await _reply(checks, route, scope, receive)
        except Disconnected:
            return
        start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        await send(start)
        await send({"type": "http.response.body", "body": reply.body})


async def _reply(checks: Checks, route: Route, scope: Scope, receive: Receive) -> Reply:
    headers, query = scope["headers"], scope["query_string"]
    request = Request(scope["method"], query, headers, dict(headers), scope.get("client"))
    if route.reads_body and request.method == "POST":
        try:
            request.body = await read_body(headers, receive)
        except (BodyTooLarge, RequestTimeout) as error:
            return checks.refuse(route, request, error)
    return await checks.reply(route, request)
