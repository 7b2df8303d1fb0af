"""What holds for every test."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.pgbouncer import Pooler
    from tests.postgres import Cluster

# A shared machine can stall an example for any length of time: that is no finding.
settings.register_profile("keyturn", deadline=None, print_blob=True)
settings.load_profile("keyturn")


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
