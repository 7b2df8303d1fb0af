"""The services that these tests talk to.

`KEYTURN_TEST_URL` and `KEYTURN_TEST_OPERATOR_TOKEN` point most of them at a running service, which
must have default settings except that it trusts this machine and 10.0.0.0/8 as proxies
(`KEYTURN_TRUSTED_PROXIES`): each test then comes from an address of its own. What is about other
settings, or about stopping and starting, always starts a server.
"""

import os
from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server

from .client import HTTP, Agent, Developer, Service, unique

PROXIES = "127.0.0.1/32,10.0.0.0/8"


def service_of(server: Server, *, proxied: bool = True) -> Service:
    """A client of a server that we started, with an operator's token."""
    operator = server.create_developer(f"{unique('operator')}@example.com", operator=True)
    return Service(server.url, operator.token, proxied)


@pytest.fixture(scope="session", autouse=True)
def _connections() -> Iterator[None]:
    """Close what the tests' HTTP client left open."""
    yield
    HTTP.close()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service with default settings behind a trusted proxy."""
    if url := os.environ.get("KEYTURN_TEST_URL"):
        yield Service(url.rstrip("/"), os.environ["KEYTURN_TEST_OPERATOR_TOKEN"])
        return
    with running_server(trusted_proxies=PROXIES) as server:
        yield service_of(server)


@pytest.fixture
def agent(service: Service) -> Agent:
    """An agent that registered itself."""
    return service.register()


@pytest.fixture
def developer(service: Service) -> Developer:
    """A developer without agents."""
    return service.create_developer()


@pytest.fixture(scope="session")
def checker(service: Service) -> str:
    """A service token of the operator's, which sees all agents."""
    token: str = service.create_token("service", service.operator)["token"]
    return token


@pytest.fixture
def owned(service: Service, developer: Developer) -> Agent:
    """An agent of the developer's."""
    return service.create_agent(developer.token)
