"""A store of each backend, on each database."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.storage.backends import BACKENDS, DATABASES, ClosableStore, Place, Postgres
from tests.storage.fake_connection import World

PROCESSES = 3


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What every store promises is asked of all of them; other modules are about one."""
    if "place" in metafunc.fixturenames and not hasattr(metafunc.module, "place"):
        conforming = metafunc.module.__name__.rpartition(".")[2].startswith("test_conformance")
        metafunc.parametrize("place", BACKENDS if conforming else ["sqlite"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Place:
    """Where a store keeps its data."""
    backend = BACKENDS[request.param]
    if isinstance(backend, Postgres):
        backend.place(tmp_path, request.getfixturevalue("postgres").new_database())
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


@pytest.fixture
def world() -> Iterator[World]:
    """A writer on a connection that does what the test says."""
    made = World()
    yield made
    made.connection.failing.clear()
    made.writer.close()
