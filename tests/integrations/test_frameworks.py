"""What is each framework's own: paths that there are not, WebSockets, kinds of views."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import fastapi
import flask
import httpx
import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from keyturn.integrations import BlockingVerifier, RemoteVerifier
from keyturn.integrations.django import require_agent as require_agent_in_django
from keyturn.integrations.fastapi import RequireAgent
from keyturn.integrations.flask import protect, require_agent
from keyturn.integrations.starlette import KeyturnMiddleware
from keyturn.testing import Server
from tests.contract.client import Agent
from tests.integrations.hosts import MIDDLEWARE, django_urls, django_view, shown
from tests.integrations.serving import serving_asgi, serving_wsgi

CHALLENGE = 'Bearer realm="keyturn"'


@pytest.fixture
def verifier(server: Server, token: str) -> RemoteVerifier:
    return RemoteVerifier(server.url, token, timeout=30)


@pytest.fixture
def blocking(verifier: RemoteVerifier) -> Iterator[BlockingVerifier]:
    with contextlib.closing(BlockingVerifier(verifier)) as it:
        yield it


def bearer(agent: Agent) -> dict[str, str]:
    return {"Authorization": f"Bearer {agent.key}"}


def test_behind_a_middleware_a_path_that_there_is_not_is_refused_like_any_other(
    verifier: RemoteVerifier, agent: Agent
) -> None:
    app = KeyturnMiddleware(Starlette(lifespan=verifier.lifespan), verifier)
    with serving_asgi(app) as url:
        assert httpx.get(f"{url}/nowhere").status_code == 401
        assert httpx.get(f"{url}/nowhere", headers=bearer(agent)).status_code == 404


def test_in_a_protected_flask_every_path_and_method_is_refused_alike(
    blocking: BlockingVerifier, agent: Agent
) -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "here")
    protect(app, blocking)
    with serving_wsgi(app) as url:
        for method, there in (("GET", "/"), ("OPTIONS", "/"), ("GET", "/static/x"), ("PUT", "/")):
            assert httpx.request(method, url + there).status_code == 401
        assert httpx.get(url, headers=bearer(agent)).text == "here"


def test_behind_djangos_middleware_a_path_that_there_is_not_is_refused_like_any_other(
    blocking: BlockingVerifier, agent: Agent
) -> None:
    with django_urls(blocking, path("", django_view), MIDDLEWARE=MIDDLEWARE):
        client = Client()
        assert client.get("/nowhere").status_code == 401
        assert client.get("/nowhere", headers=bearer(agent)).status_code == 404


def test_a_view_of_flask_that_is_asynchronous_is_protected_too(
    blocking: BlockingVerifier, agent: Agent
) -> None:
    app = flask.Flask(__name__)

    @app.get("/<word>")
    @require_agent(blocking)
    async def view(word: str) -> Any:
        return f"{word} {flask.g.agent.agent_name}"

    client = app.test_client()
    assert client.get("/hello").status_code == 401
    assert client.get("/hello", headers=bearer(agent)).text == f"hello {agent.name}"


class Told(View):  # type: ignore[misc]
    def get(self, request: HttpRequest, word: str) -> HttpResponse:
        return HttpResponse(f"{word} {request.agent.agent_name}")


@method_decorator(require_agent_in_django(), name="dispatch")
class Decorated(Told):
    pass


class Asynchronous(View):  # type: ignore[misc]
    async def get(self, request: HttpRequest, word: str) -> HttpResponse:
        return HttpResponse(f"{word} {request.agent.agent_name}")


@pytest.mark.parametrize(
    "view",
    [
        require_agent_in_django()(Told.as_view()),
        Decorated.as_view(),
        require_agent_in_django()(Asynchronous.as_view()),
    ],
    ids=["decorated as a view", "decorated as a class", "asynchronous"],
)
def test_a_class_based_view_is_protected(
    blocking: BlockingVerifier, agent: Agent, view: Callable[..., Any]
) -> None:
    with django_urls(blocking, path("<str:word>", view)):
        refused = asyncio.run(AsyncClient().get("/hello"))
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, CHALLENGE)
        for answer in (
            Client().get("/hello", headers=bearer(agent)),
            asyncio.run(AsyncClient().get("/hello", headers=bearer(agent))),
        ):
            assert answer.content.decode() == f"hello {agent.name}"


def test_a_view_of_django_without_the_decorator_knows_no_agent(
    blocking: BlockingVerifier, agent: Agent
) -> None:
    def view(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"known": hasattr(request, "agent")})

    with django_urls(blocking, path("", view)):
        answer = Client().get("/", headers={**bearer(agent), "Agent": "me", "X-Agent": "me"})
        assert answer.json() == {"known": False}


def fastapi_application(verifier: RemoteVerifier) -> fastapi.FastAPI:
    app = fastapi.FastAPI(lifespan=verifier.lifespan)
    require = RequireAgent(verifier)

    @app.get("/")
    async def route(agent: Annotated[Any, fastapi.Depends(require)]) -> dict[str, Any]:
        return shown(agent)

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, agent: Annotated[Any, fastapi.Depends(require)]) -> None:
        await websocket.accept()
        await websocket.send_json(shown(agent))
        await websocket.close()

    return app


def test_without_the_handler_fastapi_refuses_all_the_same(verifier: RemoteVerifier) -> None:
    with serving_asgi(fastapi_application(verifier)) as url:
        answer = httpx.get(url)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, CHALLENGE)
    assert (answer.headers["content-type"], answer.json()) == (
        "application/json",
        {"detail": "no_key"},
    )


def test_the_openapi_of_fastapi_says_that_a_key_is_needed(verifier: RemoteVerifier) -> None:
    document = fastapi_application(verifier).openapi()
    assert document["paths"]["/"]["get"]["security"] == [{"apiKey": []}]
    scheme = document["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def starlette_application(verifier: RemoteVerifier) -> Any:
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(shown(websocket.state.agent))
        await websocket.close()

    return KeyturnMiddleware(Starlette(routes=[WebSocketRoute("/socket", socket)]), verifier)


async def connected(app: Any, extensions: list[str], headers: dict[str, str]) -> list[Message]:
    """What a server is told when somebody asks for a WebSocket."""
    sent: list[Message] = []
    scope: Scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": "/socket",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "subprotocols": [],
        "extensions": {name: {} for name in extensions},
    }

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("application", [starlette_application, fastapi_application])
@pytest.mark.parametrize("extensions", [[], ["websocket.http.response"]])
def test_a_websocket_is_opened_to_agents_only(
    verifier: RemoteVerifier, agent: Agent, application: Callable[..., Any], extensions: list[str]
) -> None:
    app = application(verifier)

    async def connect() -> list[list[Message]]:
        wrong = {"Authorization": "Bearer x"}
        async with verifier.lifespan():
            return [await connected(app, extensions, sent) for sent in (bearer(agent), {}, wrong)]

    welcome, *refusals = asyncio.run(connect())
    expected = ["websocket.accept", "websocket.send", "websocket.close"]
    assert [message["type"] for message in welcome] == expected
    assert agent.id in welcome[1]["text"]
    for first, *_ in refusals:
        assert first["type"] in ("websocket.close", "websocket.http.response.start")
        assert first.get("code", 1008) == 1008 and first.get("status", 401) == 401


CLIENT_ONLY = """
import importlib, sys

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
for name in ("flask", "django", "starlette", "remote"):
    importlib.import_module("keyturn.integrations." + name)
"""


def test_what_asks_a_remote_keyturn_needs_nothing_of_the_servers() -> None:
    servers = ["apsw", "cryptography", "fastapi", "pydantic", "pydantic_settings", "structlog"]
    subprocess.run([sys.executable, "-c", CLIENT_ONLY, *servers], check=True, timeout=60)
