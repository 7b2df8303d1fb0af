"""The services that these tests talk to.

`KEYTURN_TEST_URL` and `KEYTURN_TEST_OPERATOR_TOKEN` point most of them at a running service, which
must have default settings except that it trusts this machine and 10.0.0.0/8 as proxies
(`KEYTURN_TRUSTED_PROXIES`): each test then comes from an address of its own. What is about other
settings, or about stopping and starting, always starts a server.

Some modules, `ON_BOTH`, ask one service on SQLite and then one on PostgreSQL, some also one behind
PgBouncer. `KEYTURN_TEST_STORE` puts every service of every test on one store, but for tests that
are about SQLite's files (marked `sqlite_files`), which are left out: `postgres`; `pgbouncer`, in
transaction mode in front of it; or `two`, where the service that tests share is two servers on
PostgreSQL, and the tests that start one of their own are left out.
"""

import base64
import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing import Server, running_server
from tests.pgbouncer import Pooler
from tests.postgres import Cluster

from .client import HTTP, Agent, Developer, Service, unique

PROXIES = "127.0.0.1/32,10.0.0.0/8"
STORE = os.environ.get("KEYTURN_TEST_STORE")
ON_BOTH = {
    "test_agent_changes",
    "test_audit",
    "test_check_rotation",
    "test_developer_agents",
    "test_developers",
    "test_forward_auth",
    "test_keys_verify",
    "test_keys_verify_credits",
    "test_lists",
    "test_names",
    "test_recovery",
    "test_rotation",
    "test_rotation_limit",
    "test_rotation_table",
}
BEHIND_PGBOUNCER = {"test_recovery", "test_rotation_table"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say on which stores a test runs."""
    module = metafunc.module.__name__.rpartition(".")[2]
    given = STORE or os.environ.get("KEYTURN_TEST_URL")
    if "service" in metafunc.fixturenames and module in ON_BOTH and not given:
        stores = ["sqlite", "postgres"]
        if module in BEHIND_PGBOUNCER:
            stores.append("pgbouncer")
        metafunc.parametrize("service", stores, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about SQLite's files where there are none, and what is about one server."""
    if STORE:
        items[:] = [item for item in items if not item.get_closest_marker("sqlite_files")]
    if STORE == "two":
        items[:] = [item for item in items if "service" in getattr(item, "fixturenames", ())]


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
def databases(request: pytest.FixtureRequest) -> Cluster | Pooler:
    """Where the tests get empty places on PostgreSQL."""
    found: Cluster | Pooler
    found = request.getfixturevalue("pgbouncer" if STORE == "pgbouncer" else "postgres")
    return found


@pytest.fixture(scope="session", autouse=bool(STORE))
def _all_on_postgres(databases: Cluster | Pooler) -> Iterator[None]:
    """Give every server that is started the database of its data directory."""
    urls: dict[Path, str] = {}
    make = Server.__init__

    def make_on_postgres(server: Server, data_dir: Path, **settings: Any) -> None:
        if data_dir not in urls:
            urls[data_dir] = databases.new_database()
        make(server, data_dir, **{"database": urls[data_dir], **settings})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "__init__", make_on_postgres)
        yield


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service with default settings behind a trusted proxy."""
    if url := os.environ.get("KEYTURN_TEST_URL"):
        yield Service(url.rstrip("/"), os.environ["KEYTURN_TEST_OPERATOR_TOKEN"])
        return
    settings: dict[str, Any] = {"trusted_proxies": PROXIES}
    # A test that asks for the service only when it runs has no parameter.
    store = getattr(request, "param", STORE or "sqlite")
    if store == "two":
        settings["server_key"] = server_key()
    if store != "sqlite":
        store = "pgbouncer" if store == "pgbouncer" else "postgres"
        settings["database"] = request.getfixturevalue(store).new_database()
    with contextlib.ExitStack() as running:
        server = running.enter_context(running_server(**settings))
        one = service_of(server)
        if "server_key" in settings:
            one = replace(one, other=running.enter_context(running_server(**settings)).url)
        yield one


def server_key() -> str:
    """A server key that several servers can share."""
    return "k1:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


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
