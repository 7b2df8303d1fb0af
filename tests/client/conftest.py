"""An agent that has a credentials file, its server in memory, and a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.client.credentials_file import CredentialsFile
from keyturn.testing import Server, running_server
from tests.client.steps import Stage, file_of, stored_of


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def file(tmp_path: Path, stage: Stage) -> CredentialsFile:
    return file_of(tmp_path, stored_of(stage.fake))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real server that does not limit this one address."""
    with running_server(rotation_limit=10_000, registration_limit=10_000) as started:
        yield started
