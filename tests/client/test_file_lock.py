"""The lock that processes and threads take turns with."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from keyturn.client import CredentialsFileError
from keyturn.client.credentials_file import CredentialsFile
from tests.client.steps import Stage, file_of, rotation, stored_of


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "agent.json")
    first, second = file.lock(), file.lock()
    assert first.try_acquire()
    refused: list[bool] = []
    thread = threading.Thread(target=lambda: refused.append(second.try_acquire()))
    thread.start()
    thread.join()
    assert refused == [False]
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_lock_whose_file_is_removed_meanwhile_is_not_two_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CredentialsFile(tmp_path / "agent.json")
    slow, quick = file.lock(), file.lock()
    real = fcntl.flock

    def removed_just_before(opened: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        slow.path.unlink()
        assert quick.try_acquire()
        real(opened, how)

    monkeypatch.setattr(fcntl, "flock", removed_just_before)
    assert not slow.try_acquire()
    quick.release()


def test_waiting_for_a_lock_leaves_no_file_open(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "agent.json")
    first, second = file.lock(), file.lock()
    before = len(list(Path("/dev/fd").iterdir()))
    assert first.try_acquire()
    assert [second.try_acquire() for _ in range(5)] == [False] * 5
    first.release()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_lock_that_cannot_be_made_is_an_error_and_no_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage()
    file = file_of(tmp_path, stored_of(stage.fake))
    real = os.open

    def read_only(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, os.strerror(30))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(CredentialsFileError, match="Read-only file system"):
        stage.play(rotation(stage, file))
    assert stage.waited() == 0 and stage.sent() == []
