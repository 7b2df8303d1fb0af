"""What holds for every test."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.fork_server import ForkServer
    from tests.pgbouncer import Pooler
    from tests.postgres import Cluster

# A shared machine can stall an example for any length of time: that is no finding.
settings.register_profile("keyturn", deadline=None, print_blob=True)
settings.load_profile("keyturn")


def pytest_collection_finish() -> None:
    """What was imported stays to the end: it need not be looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def trusted_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One of our own: clients read them all whenever one is made, which takes tens of requests."""
    if "keyturn.testing" not in sys.modules:
        yield
        return
    from tests.certificates import Authority  # noqa: PLC0415

    path = tmp_path_factory.mktemp("trusted") / "authority.pem"
    path.write_bytes(Authority().certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator["ForkServer | None"]:
    """Servers are forked, where there are any: what they import is imported once."""
    if "keyturn.testing" not in sys.modules:
        yield None
        return
    from tests.fork_server import ForkServer  # noqa: PLC0415

    with ForkServer() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyturn.testing.subprocess", running)
        yield running


@pytest.fixture
def not_forked() -> Iterator[None]:
    """Have servers started as a user starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyturn.testing.subprocess", subprocess)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator["Cluster"]:
    """A PostgreSQL that only these tests use."""
    # The core's tests run without the rest of them too (`tools/break_each_row.py`).
    from tests.postgres import running_cluster  # noqa: PLC0415

    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pgbouncer(postgres: "Cluster") -> Iterator["Pooler"]:
    """A PgBouncer in front of it."""
    from tests.pgbouncer import running_pooler  # noqa: PLC0415

    with running_pooler(postgres) as pooler:
        yield pooler
