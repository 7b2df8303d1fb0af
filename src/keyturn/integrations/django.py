"""For Django, under WSGI and ASGI: a middleware and a decorator.

The setting `AGENT_VERIFIER` is the `BlockingVerifier` that both ask.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from keyturn.integrations.blocking import BlockingVerifier
from keyturn.integrations.identity import AgentIdentity, Refusal, denial

View = Callable[..., Any]


class KeyturnMiddleware:
    """Lets requests with an agent's API key pass, and refuses all others, whatever their path.

    The agent is `request.agent`.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: View) -> None:
        self._view = require_agent()(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        answer: HttpResponseBase | Awaitable[HttpResponseBase] = self._view(request)
        return answer


def require_agent(*, cost: int = 0) -> Callable[[View], View]:
    """A view that only requests with an agent's API key reach; `cost` credits for each.

    The agent is `request.agent`.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **values: Any) -> Any:
            found = _verifier().admit(_sent(request), cost=cost)
            return _refused(request, found) or view(request, *args, **values)

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **values: Any) -> Any:
            found = await _verifier().admit_async(_sent(request), cost=cost)
            return _refused(request, found) or await view(request, *args, **values)

        return guarded_async if iscoroutinefunction(view) else guarded

    return decorate


def _refused(request: HttpRequest, found: AgentIdentity | Refusal | None) -> HttpResponse | None:
    """The answer to a refused request; any other is told its agent."""
    if isinstance(found, Refusal):
        answer = denial(found)
        return HttpResponse(answer.body, status=answer.status, headers=answer.headers)
    request.agent = found
    return None


def _verifier() -> BlockingVerifier:
    verifier: BlockingVerifier = settings.AGENT_VERIFIER
    return verifier


def _sent(request: HttpRequest) -> list[str]:
    # Of several headers the server has made one, which is then no usable one.
    return [request.META[name] for name in ("HTTP_AUTHORIZATION",) if name in request.META]
