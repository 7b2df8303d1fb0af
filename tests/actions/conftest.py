"""An installation for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions import populated as filled
from tests.actions.reused import Life, a_life
from tests.actions.world import World, make_databases, opened
from tests.storage.backends import Place, Postgres


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


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def populated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[filled.Populated]:
    """A database of either kind with agents and a trail in it, which tests only read."""
    folder = tmp_path_factory.mktemp("populated")
    place = Place("sqlite", "keyturn.db", folder)
    if request.param == "postgres":
        place = Postgres().new_place(request.getfixturevalue("postgres"), folder)
    with filled.opened(place, folder) as made:
        yield made
