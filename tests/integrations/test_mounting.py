"""Keyturn inside another application, under any prefix."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import fastapi
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from keyturn.asgi import create_app
from keyturn.settings import Settings
from tests.contract.client import Agent, Service, assert_problem, forged
from tests.integrations.serving import serving_asgi

PREFIXES = ("/keys", "/a/b")


@pytest.fixture(scope="module", params=PREFIXES)
def mounted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a Keyturn that an application has under a prefix."""
    keyturn = create_app(Settings(data_dir=tmp_path_factory.mktemp("mounted")))
    app = fastapi.FastAPI(lifespan=keyturn.lifespan)
    app.add_api_route("/", lambda: "the host's own")
    app.mount(request.param, keyturn)
    with serving_asgi(app) as url:
        yield url + request.param


@pytest.fixture
def service(mounted: str) -> Service:
    return Service(mounted, operator="", proxied=False)


def test_an_agent_registers_rotates_and_is_refused_with_its_old_key(service: Service) -> None:
    agent = service.register()
    answer = service.rotate(agent.key, agent.secret)
    assert answer.status_code == 200
    assert service.whoami(answer.json()["apiKey"]).json()["generation"] == 2
    assert_problem(service.whoami(agent.key), 401, "invalid_credentials")


@pytest.mark.parametrize("path", ["/v1/forward-auth", "/v1/forward-auth/any/path?at=all"])
def test_forward_authentication_answers(service: Service, path: str) -> None:
    agent: Agent = service.register()
    answer = service.get(path, agent.key)
    assert (answer.status_code, answer.headers["x-agent-id"]) == (200, agent.id)
    assert_problem(service.get(path, forged("ak")), 401, "invalid_credentials")


@pytest.mark.parametrize("path", ["/v1/keys/verify", "/v1/keys/verify-batch", "/v1/introspect"])
def test_what_services_ask_is_there(service: Service, path: str) -> None:
    assert_problem(service.post(path, forged("sv"), json={}), 401, "invalid_token")
    wrong = service.get(path)
    assert_problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1", "/v1/agent", "/nowhere", "/v1/forward-authority", "/"])
def test_a_path_that_there_is_not_is_refused_by_keyturn(service: Service, path: str) -> None:
    assert_problem(service.get(path), 404, "not_found")


def test_a_wrong_method_is_told_the_right_ones(service: Service) -> None:
    answer = service.call("DELETE", "/v1/agents/self")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_every_answer_has_its_own_headers(service: Service) -> None:
    answer = service.whoami(forged("ak"))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"] == answer.json()["requestId"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="keyturn", error="invalid_token"'


def test_the_reference_is_there(service: Service) -> None:
    document, page = service.get("/openapi.json"), service.get("/docs")
    assert "/v1/agents/self/rotate-key" in document.json()["paths"]
    assert page.status_code == 200 and "rotate-key" in page.text


def test_it_is_alive_and_ready(service: Service) -> None:
    assert service.get("/healthz").status_code == service.get("/readyz").status_code == 200


def test_the_hosts_own_routes_are_its_own(mounted: str) -> None:
    root = httpx.URL(mounted).copy_with(path="/")
    assert httpx.get(root).json() == "the host's own"
    assert httpx.get(root.join("/v1/agents/self")).json() == {"detail": "Not Found"}


def test_two_may_be_mounted_and_know_their_own_agents_only(tmp_path: Path) -> None:
    one, other = (create_app(Settings(data_dir=tmp_path / name)) for name in ("one", "other"))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with one.lifespan(app), other.lifespan(app):
            yield

    routes = [Mount("/one", one), Mount("/an/other", other)]
    with serving_asgi(Starlette(routes=routes, lifespan=lifespan)) as url:
        services = [Service(url + there, "", proxied=False) for there in ("/one", "/an/other")]
        agents = [service.register() for service in services]
        for number, service in enumerate(services):
            statuses = [service.whoami(agent.key).status_code for agent in agents]
            assert statuses == ([200, 401] if number == 0 else [401, 200])
            statuses = [service.get("/v1/forward-auth", it.key).status_code for it in agents]
            assert statuses == ([200, 401] if number == 0 else [401, 200])


def test_without_its_lifespan_it_says_what_to_do(tmp_path: Path) -> None:
    app = Starlette(routes=[Mount("/keys", create_app(Settings(data_dir=tmp_path)))])
    transport = httpx.ASGITransport(app)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            await client.get("/keys/v1/agents/self")

    with pytest.raises(RuntimeError, match="lifespan"):
        asyncio.run(ask())


def test_a_second_lifespan_is_refused_and_leaves_the_first_open(tmp_path: Path) -> None:
    keyturn = create_app(Settings(data_dir=tmp_path))

    async def open_twice() -> None:
        async with keyturn.lifespan():
            with pytest.raises(RuntimeError, match="already"):
                async with keyturn.lifespan():
                    pass
            assert keyturn.checks is not None

    asyncio.run(open_twice())


def test_the_host_may_have_routes_beside_it_of_the_same_prefix(tmp_path: Path) -> None:
    keyturn = create_app(Settings(data_dir=tmp_path))
    beside = Route("/keys-and-locks", lambda _: PlainTextResponse("beside"))
    app = Starlette(routes=[beside, Mount("/keys", keyturn)], lifespan=keyturn.lifespan)
    with serving_asgi(app) as url:
        assert httpx.get(f"{url}/keys-and-locks").text == "beside"
        assert httpx.get(f"{url}/keys/healthz").status_code == 200
