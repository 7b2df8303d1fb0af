"""A Keyturn, and a service token of an operator's, who sees every agent."""

from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server
from tests.contract.client import Agent, Service
from tests.contract.conftest import service_of


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server(rotation_limit=10_000, registration_limit=10_000) as started:
        yield started


@pytest.fixture(scope="session")
def keyturn(server: Server) -> Service:
    return service_of(server, proxied=False)


@pytest.fixture(scope="session")
def token(keyturn: Service) -> str:
    shown: str = keyturn.create_token("service", keyturn.operator)["token"]
    return shown


@pytest.fixture
def agent(keyturn: Service) -> Agent:
    return keyturn.register()
