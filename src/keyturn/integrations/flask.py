"""For Flask: a whole application or blueprint, or single views."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec

from flask import Blueprint, Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue

from keyturn.integrations.blocking import BlockingVerifier
from keyturn.integrations.identity import Refusal, denial

Arguments = ParamSpec("Arguments")
View = Callable[Arguments, ResponseReturnValue | Awaitable[ResponseReturnValue]]


def protect(app: Flask | Blueprint, verifier: BlockingVerifier, *, cost: int = 0) -> None:
    """Let only requests with an agent's API key reach the application or blueprint.

    The agent is `g.agent`. `cost` credits are taken for each request.
    """
    app.before_request(lambda: _refused(verifier, cost))


def require_agent(
    verifier: BlockingVerifier, *, cost: int = 0
) -> Callable[[View[Arguments]], Callable[Arguments, ResponseReturnValue]]:
    """A view that only requests with an agent's API key reach; put it below the route.

    The agent is `g.agent`. `cost` credits are taken for each request.
    """

    def decorate(view: View[Arguments]) -> Callable[Arguments, ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: Arguments.args, **values: Arguments.kwargs) -> ResponseReturnValue:
            refused = _refused(verifier, cost)
            if refused is not None:
                return refused
            answer: ResponseReturnValue = current_app.ensure_sync(view)(*args, **values)
            return answer

        return guarded

    return decorate


def _refused(verifier: BlockingVerifier, cost: int) -> Response | None:
    """The answer to a refused request; any other is told its agent."""
    # Of several headers the server has made one, which is then no usable one.
    found = verifier.admit(request.headers.getlist("Authorization"), cost=cost)
    if isinstance(found, Refusal):
        answer = denial(found)
        return Response(answer.body, answer.status, answer.headers)
    g.agent = found
    return None
