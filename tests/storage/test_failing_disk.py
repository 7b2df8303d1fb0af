"""What the disk refuses: after a failed fsync nothing may be tried again, else all goes on."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from keyturn.core.errors import Unavailable
from keyturn.storage import checkpoints, sqlite
from keyturn.storage.checkpoints import Checkpoints
from keyturn.storage.group_commit import CommitFailed
from keyturn.storage.sqlite import SqliteStore, WriterConnection
from keyturn.storage.sqlite_file import credentials_database, fsync_failed, prepare
from tests.storage.batches import PATIENCE, do


def error(kind: type[apsw.Error], extended: int = 0) -> apsw.Error:
    """An error as apsw raises it."""
    made = kind("of this test")
    made.__dict__["extendedresult"] = extended
    return made


LOST = {
    "fsync": error(apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
    "fsync of the folder": error(apsw.IOError, apsw.SQLITE_IOERR_DIR_FSYNC),
}
KNOWN = {
    "a write": error(apsw.IOError, apsw.SQLITE_IOERR_WRITE),
    "a full disk": error(apsw.FullError, apsw.SQLITE_FULL),
    "a lock": error(apsw.BusyError, apsw.SQLITE_BUSY),
    "a snapshot's lock": error(apsw.BusyError, apsw.SQLITE_BUSY_SNAPSHOT),
    "an error of no number": error(apsw.IOError),
}
DATABASE = credentials_database(Path("never opened"))


class Failing:
    """A connection that refuses one thing."""

    def __init__(self, refused: str, error: apsw.Error) -> None:
        self.refused = refused
        self.error = error
        self.in_transaction = False
        self.wal_hook: Callable[..., int] = lambda *_: 0
        self.busy_handlers: list[object] = []
        self.done = threading.Event()

    def execute(self, statement: str) -> None:
        self._meet(statement)

    def wal_checkpoint(self, mode: int) -> None:
        self._meet({apsw.SQLITE_CHECKPOINT_PASSIVE: "passive"}.get(mode, "full"))

    def set_wal_hook(self, hook: Callable[..., int]) -> None:
        self.wal_hook = hook

    def set_busy_handler(self, handler: object) -> None:
        self.busy_handlers.append(handler)

    def close(self) -> None:
        self.done.set()

    def _meet(self, what: str) -> None:
        if what == self.refused:
            self.done.set()
            raise self.error


class Quiet:
    """Checkpoints that count how often they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1


def writer(monkeypatch: pytest.MonkeyPatch, connection: Failing) -> WriterConnection:
    monkeypatch.setattr(sqlite, "connect", lambda *_: connection)
    quiet: Any = Quiet()
    return WriterConnection(DATABASE, {}, quiet)


@pytest.mark.parametrize("what", [*LOST, *KNOWN])
def test_only_a_failed_fsync_leaves_unknown_what_is_on_the_disk(what: str) -> None:
    assert fsync_failed({**LOST, **KNOWN}[what]) is (what in LOST)


@pytest.mark.parametrize("what", LOST)
def test_a_commit_whose_fsync_fails_is_lost(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = writer(monkeypatch, Failing("COMMIT", LOST[what]))
    with pytest.raises(CommitFailed):
        made.commit()


@pytest.mark.parametrize("what", KNOWN)
def test_a_commit_that_fails_otherwise_was_not_kept(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = writer(monkeypatch, Failing("COMMIT", KNOWN[what]))
    with pytest.raises(Unavailable):
        made.commit()


def past_the_cap(monkeypatch: pytest.MonkeyPatch, error: apsw.Error) -> WriterConnection:
    """A writer whose WAL must be restarted, which fails."""
    connection = Failing("full", error)
    made = writer(monkeypatch, connection)
    connection.wal_hook(connection, "main", sqlite.WAL_PAGES_CAP + 1)
    return made


@pytest.mark.parametrize("what", LOST)
def test_a_restart_of_the_wal_whose_fsync_fails_ends_all_writing(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommitFailed):
        past_the_cap(monkeypatch, LOST[what]).after_commit()


@pytest.mark.parametrize("what", KNOWN)
def test_a_restart_of_the_wal_that_fails_otherwise_is_left_for_later(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    past_the_cap(monkeypatch, KNOWN[what]).after_commit()


def test_what_a_restart_of_the_wal_changes_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Failing("full", KNOWN["a lock"])
    made = writer(monkeypatch, connection)
    before = connection.busy_handlers[-1]
    connection.wal_hook(connection, "main", sqlite.WAL_PAGES_CAP + 1)
    made.after_commit()
    assert connection.busy_handlers[-1] is before is not None


@pytest.mark.parametrize("what", [*LOST, *KNOWN])
def test_a_checkpoint_beside_the_writer_ends_the_process_only_after_a_failed_fsync(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    connection = Failing("passive", {**LOST, **KNOWN}[what])
    monkeypatch.setattr(checkpoints, "connect", lambda *_: connection)
    made = Checkpoints(DATABASE, lambda: lost.append("a commit"))
    made.ask()
    assert connection.done.wait(PATIENCE)
    made.close()
    assert len(lost) == (1 if what in LOST else 0)


@pytest.mark.parametrize("what", [*LOST, *KNOWN])
def test_a_scrub_ends_the_process_only_after_a_failed_fsync(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost: list[str] = []
    database = credentials_database(tmp_path / "keyturn.db")
    prepare(database)
    with contextlib.closing(SqliteStore(database, lambda: lost.append("a commit"))) as store:
        connection = Failing("full", {**LOST, **KNOWN}[what])
        monkeypatch.setattr(sqlite, "connect", lambda *_: connection)
        do(store.scrub())
    assert len(lost) == (1 if what in LOST else 0)


class LongCheckpoint(Failing):
    """A connection whose first checkpoint takes long, and is in the way of the others."""

    def __init__(self) -> None:
        super().__init__("full", KNOWN["a lock"])
        self.begun = threading.Event()
        self.finish = threading.Event()
        self.afterwards = 0

    def wal_checkpoint(self, mode: int) -> None:
        if not self.begun.is_set():
            self.begun.set()
            assert self.finish.wait(PATIENCE)
        elif not self.finish.is_set():
            super().wal_checkpoint(mode)
        else:
            self.afterwards += 1


def test_a_scrub_that_another_one_was_in_the_way_of_stays_owed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def scenario() -> None:
        first = asyncio.ensure_future(store.scrub())
        await asyncio.to_thread(connection.begun.wait, PATIENCE)
        await store.scrub()
        connection.finish.set()
        await first
        await store.finish_scrub()

    database = credentials_database(tmp_path / "keyturn.db")
    prepare(database)
    connection = LongCheckpoint()
    with contextlib.closing(SqliteStore(database, lambda: None)) as store:
        monkeypatch.setattr(sqlite, "connect", lambda *_: connection)
        do(scenario())
    assert connection.afterwards == 1
