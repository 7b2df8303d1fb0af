"""For Starlette, and any other ASGI application: a middleware."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.integrations.identity import Refusal, denial
from keyturn.integrations.verifier import Verifier

POLICY_VIOLATION = 1008
"""How a WebSocket is refused (RFC 6455, section 7.4.1)."""


class KeyturnMiddleware:
    """Lets requests and WebSockets with an agent's API key pass, and refuses all others.

    The agent is `request.state.agent`. `cost` credits are taken for each request.
    """

    def __init__(self, app: ASGIApp, verifier: Verifier, *, cost: int = 0) -> None:
        self._app = app
        self._verifier = verifier
        self._cost = cost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).getlist("authorization")
        found = await self._verifier.admit(sent, cost=self._cost)
        if isinstance(found, Refusal):
            await _refuse(found, scope, receive, send)
            return
        scope.setdefault("state", {})["agent"] = found
        await self._app(scope, receive, send)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get(
        "extensions", {}
    ):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    answer = denial(refusal)
    await Response(answer.body, answer.status, answer.headers)(scope, receive, send)
