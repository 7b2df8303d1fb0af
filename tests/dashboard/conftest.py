"""An installation, and an operator who visits its pages in this process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from keyturn.actions import passwords
from tests.actions.world import World, make_databases, opened
from tests.dashboard.visiting import Browser, Person, developer


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of an installation that nobody has used yet."""
    folder = tmp_path_factory.mktemp("fresh")
    make_databases(folder)
    return folder


@pytest.fixture
def world(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Of the same kind as in use, and a thousandth of the work.
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def ada(world: World) -> Person:
    return developer(world, "ada@example.com", operator=True)


@pytest.fixture
def browser(world: World, ada: Person) -> Browser:
    """In which the operator has signed in."""
    made = Browser(world.service)
    made.sign_in(ada)
    return made
