"""One Keyturn and one API for all tests, and each example in front of them."""

from collections.abc import Iterator

import pytest

from keyturn.testing import running_server
from tests.contract.client import HTTP, Agent, Service, unique

from .api import Api, running_api
from .proxies import PROXIES, running_proxy
from .stage import Stage


@pytest.fixture(scope="session", autouse=True)
def _connections() -> Iterator[None]:
    """Close what the tests' HTTP client left open."""
    yield
    HTTP.close()


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    """The API that the proxies guard."""
    with running_api() as started:
        yield started


@pytest.fixture(scope="session")
def keyturn() -> Iterator[Service]:
    """A Keyturn that believes the proxies."""
    with running_server(trusted_proxies="127.0.0.1/32") as server:
        operator = server.create_developer("operator@example.com", operator=True)
        yield Service(server.url, operator.token)


@pytest.fixture(scope="session", params=PROXIES)
def stage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    keyturn: Service,
    api: Api,
) -> Iterator[Stage]:
    """An example, started."""
    folder = tmp_path_factory.mktemp(request.param)
    with running_proxy(request.param, folder, keyturn=port_of(keyturn), api=api.port) as port:
        yield Stage(request.param, port, api, keyturn)


@pytest.fixture
def agent(keyturn: Service) -> Agent:
    """An agent whose name is not ASCII."""
    return keyturn.register(unique("Zoë, 研究 100%"))


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])
