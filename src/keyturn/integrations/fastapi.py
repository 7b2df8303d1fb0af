"""For FastAPI: a dependency. The middleware is that of `keyturn.integrations.starlette`."""

from fastapi import HTTPException, Request, Response, WebSocketException
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from keyturn.integrations.identity import AgentIdentity, Refusal, denial
from keyturn.integrations.starlette import POLICY_VIOLATION
from keyturn.integrations.verifier import Verifier


class RequestRefused(HTTPException):
    """Raised by `RequireAgent`. FastAPI answers it; `problem_response` answers it as a problem."""

    def __init__(self, refusal: Refusal) -> None:
        self.denial = denial(refusal)
        headers = {k: v for k, v in self.denial.headers.items() if k != "Content-Type"}
        super().__init__(self.denial.status, refusal.value, headers)


class RequireAgent(SecurityBase):
    """A dependency: the agent whose API key the request has.

        agent: Annotated[AgentIdentity, Depends(RequireAgent(verifier, cost=2))]

    It is `request.state.agent` too. `cost` credits are taken for each request; one object is asked
    once for a request, however many dependencies share it.

    Raises:
        RequestRefused, or WebSocketException for a WebSocket.
    """

    def __init__(self, verifier: Verifier, *, cost: int = 0) -> None:
        self.model = HTTPBearer(description="An agent's current API key.")
        self.scheme_name = "apiKey"
        self._verifier = verifier
        self._cost = cost

    async def __call__(self, connection: HTTPConnection) -> AgentIdentity | None:
        sent = connection.headers.getlist("authorization")
        found = await self._verifier.admit(sent, cost=self._cost)
        if isinstance(found, Refusal):
            if connection.scope["type"] == "websocket":
                raise WebSocketException(POLICY_VIOLATION)
            raise RequestRefused(found)
        connection.state.agent = found
        return found


async def problem_response(_request: Request, error: Exception) -> Response:
    """For `app.add_exception_handler(RequestRefused, problem_response)`: the body of RFC 9457."""
    if not isinstance(error, RequestRefused):
        raise error
    return Response(error.denial.body, error.denial.status, error.denial.headers)
