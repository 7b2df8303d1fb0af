"""The same small application in every framework, protected in every way that there is.

Each has two routes, which answer who asks: `/` is free, and `/costly` takes `COST` credits.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Annotated, Any

import django
import fastapi
import flask
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn.integrations import AgentIdentity, BlockingVerifier, Verifier
from keyturn.integrations.django import require_agent as require_agent_in_django
from keyturn.integrations.fastapi import RequestRefused, RequireAgent, problem_response
from keyturn.integrations.flask import protect
from keyturn.integrations.flask import require_agent as require_agent_in_flask
from keyturn.integrations.starlette import KeyturnMiddleware
from tests.integrations.serving import serving_asgi, serving_wsgi

COST = 60
MIDDLEWARE = ["keyturn.integrations.django.KeyturnMiddleware"]

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None)
django.setup()


def shown(agent: AgentIdentity | None) -> dict[str, Any]:
    """What an application answers."""
    if agent is None:
        return {"agentId": None}
    return {
        "agentId": agent.agent_id,
        "agentName": agent.agent_name,
        "developerId": agent.developer_id,
        "generation": agent.generation,
        "keyCreatedAt": agent.key_created_at.isoformat(),
        "rotationDueAt": agent.rotation_due_at.isoformat(),
        "creditBalance": agent.credit_balance,
    }


def starlette_middleware(verifier: Verifier) -> AbstractContextManager[str]:
    async def ask(request: Request) -> JSONResponse:
        return JSONResponse(shown(request.state.agent))

    app = Starlette(
        routes=[
            Route(route, ask, middleware=[Middleware(KeyturnMiddleware, verifier, cost=cost)])
            for route, cost in (("/", 0), ("/costly", COST))
        ],
        lifespan=verifier.lifespan,
    )
    return serving_asgi(app)


def fastapi_dependency(verifier: Verifier) -> AbstractContextManager[str]:
    app = fastapi.FastAPI(lifespan=verifier.lifespan)
    app.add_exception_handler(RequestRefused, problem_response)
    costs = RequireAgent(verifier, cost=COST)

    @app.get("/", dependencies=[fastapi.Depends(RequireAgent(verifier))])
    async def free(request: Request) -> dict[str, Any]:
        return shown(request.state.agent)

    @app.get("/costly", dependencies=[fastapi.Depends(costs)])
    def costly(agent: Annotated[AgentIdentity | None, fastapi.Depends(costs)]) -> dict[str, Any]:
        return shown(agent)

    return serving_asgi(app)


@contextlib.contextmanager
def flask_blueprints(verifier: Verifier) -> Iterator[str]:
    app = flask.Flask("blueprints")
    with contextlib.closing(BlockingVerifier(verifier)) as blocking:
        for name, route, cost in (("free", "/", 0), ("costly", "/costly", COST)):
            blueprint = flask.Blueprint(name, name)
            blueprint.add_url_rule(route, view_func=lambda: shown(flask.g.agent), endpoint=name)
            protect(blueprint, blocking, cost=cost)
            app.register_blueprint(blueprint)
        with serving_wsgi(app) as url:
            yield url


@contextlib.contextmanager
def flask_decorator(verifier: Verifier) -> Iterator[str]:
    app = flask.Flask("decorator")
    with contextlib.closing(BlockingVerifier(verifier)) as blocking:

        @app.get("/")
        @require_agent_in_flask(blocking)
        def free() -> Any:
            return shown(flask.g.agent)

        @app.get("/costly")
        @require_agent_in_flask(blocking, cost=COST)
        def costly() -> Any:
            return shown(flask.g.agent)

        with serving_wsgi(app) as url:
            yield url


def django_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(shown(request.agent))


async def django_async_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(shown(request.agent))


@contextlib.contextmanager
def django_urls(verifier: BlockingVerifier, *urlpatterns: Any, **options: Any) -> Iterator[None]:
    """Django, the one that there is in a process, with these paths and settings."""
    urls = ModuleType("urls")
    vars(urls)["urlpatterns"] = urlpatterns
    with override_settings(ROOT_URLCONF=urls, AGENT_VERIFIER=verifier, **options):
        yield


@contextlib.contextmanager
def django_host(
    verifier: Verifier, free: Any, costly: Any, serve: Callable[[], Any], **options: Any
) -> Iterator[str]:
    with (
        contextlib.closing(BlockingVerifier(verifier)) as blocking,
        django_urls(blocking, path("", free), path("costly", costly), **options),
        serve() as url,
    ):
        yield url


def django_middleware(verifier: Verifier) -> AbstractContextManager[str]:
    return django_host(
        verifier,
        django_view,
        require_agent_in_django(cost=COST)(django_view),
        lambda: serving_wsgi(get_wsgi_application()),
        MIDDLEWARE=MIDDLEWARE,
    )


def django_decorator(verifier: Verifier) -> AbstractContextManager[str]:
    return django_host(
        verifier,
        require_agent_in_django()(django_view),
        require_agent_in_django(cost=COST)(django_view),
        lambda: serving_wsgi(get_wsgi_application()),
    )


def django_asgi_middleware(verifier: Verifier) -> AbstractContextManager[str]:
    return django_host(
        verifier,
        django_async_view,
        require_agent_in_django(cost=COST)(django_async_view),
        lambda: serving_asgi(get_asgi_application()),
        MIDDLEWARE=MIDDLEWARE,
    )


def django_asgi_decorator(verifier: Verifier) -> AbstractContextManager[str]:
    return django_host(
        verifier,
        require_agent_in_django()(django_async_view),
        require_agent_in_django(cost=COST)(django_async_view),
        lambda: serving_asgi(get_asgi_application()),
    )


HOSTS: tuple[Callable[[Verifier], AbstractContextManager[str]], ...] = (
    starlette_middleware,
    fastapi_dependency,
    flask_blueprints,
    flask_decorator,
    django_middleware,
    django_decorator,
    django_asgi_middleware,
    django_asgi_decorator,
)
