"""A store of each backend, on each database."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.storage.backends import BACKENDS, DATABASES, ClosableStore, Place

PROCESSES = 3


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Place:
    """Where a store keeps its data."""
    return Place(request.param, database, tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[ClosableStore]:
    """A store that loses no commit."""
    lost: list[str] = []
    with place.opened(lambda: lost.append("a commit")) as opened:
        yield opened
    assert lost == []


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Other processes, started afresh as a server's workers are."""
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        yield pool
