"""An installation for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions.reused import Life, a_life
from tests.actions.world import World, make_databases, opened


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of an installation that nobody has used yet."""
    folder = tmp_path_factory.mktemp("fresh")
    make_databases(folder)
    return folder


@pytest.fixture
def world(fresh: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def life(world: World) -> Life:
    return a_life(world)
