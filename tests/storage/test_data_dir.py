"""Making the data directory."""

import os
from pathlib import Path

import pytest

from keyturn.installation import make_data_dir


def test_every_new_directory_has_its_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    make_data_dir(tmp_path / "new" / "keyturn-data")
    assert (tmp_path / "new" / "keyturn-data").stat().st_mode & 0o777 == 0o700
    assert synced == {tmp_path.stat().st_ino, (tmp_path / "new").stat().st_ino}


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_data_dir(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750
