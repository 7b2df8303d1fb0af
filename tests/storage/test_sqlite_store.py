"""What the store on SQLite does beyond what every store promises."""

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.developer import Developer
from keyturn.core.errors import Unavailable
from keyturn.storage import sqlite
from keyturn.storage.store import Transaction
from tests.storage.backends import ClosableStore, Place
from tests.storage.batches import PATIENCE, Gate, do, together

PAGE = 4096 + 24
"""Bytes of a page in the WAL."""
MARKER = "a name that must not be found"

SETTINGS: dict[str, Any] = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "trusted_schema": 0,
    "secure_delete": 1,
    "fullfsync": 1,
}
SYNCHRONOUS = {"keyturn.db": 2, "limits.db": 1}
"""FULL, NORMAL."""


def test_every_connection_has_our_settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[apsw.Connection] = []
    monkeypatch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, made.append])
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 0)
    with place.opened() as store:
        do(store.write(place.put("a", 1)))
        do(store.scan(place.get("a")))
        # For reads on the loop, the writer, checkpoints, and a scanning thread.
        expected = [SETTINGS | {"synchronous": SYNCHRONOUS[place.database]}] * 4
        wait_until(lambda: settings_of_those_open(made) == expected)


def settings_of_those_open(connections: list[apsw.Connection]) -> list[dict[str, Any]]:
    """The settings in force of each; a thread may still be making them."""
    found = []
    for connection in connections:
        with contextlib.suppress(apsw.ConnectionClosedError, apsw.ThreadingViolationError):
            found.append({name: connection.pragma(name) for name in [*SETTINGS, "synchronous"]})
    return found


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_an_audit_entry_cannot_be_changed(place: Place) -> None:
    add = (
        "INSERT INTO audit (id, at, actor_kind, action, outcome, details) "
        "VALUES ('an id', 1, 'system', 'agent.deleted', 'success', '{}')"
    )
    with place.opened(), contextlib.closing(raw(place)) as connection:
        connection.execute(add)
        with pytest.raises(apsw.ConstraintError, match="audit entries are never changed"):
            connection.execute("UPDATE audit SET outcome = 'refused'")
        assert connection.execute("SELECT outcome FROM audit").get == "success"


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_the_built_in_owner_is_there_from_the_first_migration_on(store: ClosableStore) -> None:
    owner = do(store.read(lambda tx: tx.one(Developer, "developer_by_id", id=BUILT_IN_OWNER)))
    assert owner is not None
    assert (owner.email, owner.status, bool(owner.operator)) == (None, "active", False)


def raw(place: Place) -> apsw.Connection:
    return apsw.Connection(str(place.folder / place.database))


def test_a_full_database_is_unavailable_to_all_who_wait_together_and_works_again(
    place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        await store.write(place.put("before", 1))
        await store.write(lambda tx: limit_size(tx, extra_pages=2))
        big = "x" * 100_000
        found = await together(store, place.put("a", 1), place.put(big, 1), place.put("b", 1))
        assert [type(each) for each in found] == [Unavailable] * 3
        names = ("before", "a", "b", big)
        assert [await store.read(place.get(name)) for name in names] == [1, None, None, None]
        await store.write(lambda tx: limit_size(tx, extra_pages=1000))
        assert await together(store, place.put("a", 1), place.put(big, 1)) == [1, 1]

    do(scenario())


def limit_size(tx: Transaction, extra_pages: int) -> None:
    """Let the database grow by so many pages and no more."""
    connection: apsw.Connection = vars(tx)["_connection"]
    pages = connection.pragma("page_count")
    connection.pragma("max_page_count", pages + extra_pages)


def damage(file: Path) -> None:
    """Overwrite every page but those that say which tables there are."""
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        schema = "SELECT pageno - 1 FROM dbstat WHERE name = 'sqlite_schema'"
        spared = {page for (page,) in connection.execute(schema)}
    content = bytearray(file.read_bytes())
    for page in set(range(len(content) // 4096)) - spared:
        content[page * 4096 : (page + 1) * 4096] = b"\x55" * 4096
    file.write_bytes(content)


def test_a_damaged_page_is_unavailable_and_not_a_missing_record(place: Place) -> None:
    with place.opened() as store:
        for number in range(50):
            do(store.write(place.put(f"{number} " + "x" * 200, number)))
    damage(place.folder / place.database)
    with place.opened() as store:
        with pytest.raises(Unavailable):
            do(store.read(place.get("a")))
        with pytest.raises(Unavailable):
            do(store.scan(place.get("a")))
        with pytest.raises(Unavailable):
            do(store.write(place.put("a", 1)))


def test_the_wal_is_copied_back_beside_the_writer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 12)
    monkeypatch.setattr(sqlite, "WAL_PAGES_CAP", 1_000_000)
    with place.opened() as store:
        do(store.write(place.put(MARKER, 0)))
        assert MARKER.encode() not in main_file(place)

        def write_and_look() -> bool:
            do(store.write(place.increment("a"), alone=["a"]))
            return MARKER.encode() in main_file(place)

        wait_until(write_and_look)


def main_file(place: Place) -> bytes:
    return (place.folder / place.database).read_bytes()


def wait_until(happened: Callable[[], bool]) -> None:
    """Fail where it does not happen within ten seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_wal_is_restarted_past_the_cap(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    cap = 20
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 1_000_000)
    monkeypatch.setattr(sqlite, "WAL_PAGES_CAP", cap)
    wal = place.folder / f"{place.database}-wal"
    with place.opened() as store:
        do(store.write(place.put("a", 0)))
        largest = 0
        for _ in range(100):
            do(store.write(place.increment("a"), alone=["a"]))
            largest = max(largest, wal.stat().st_size)
        assert do(store.read(place.get("a"))) == 100
    # One more change may have been written when the cap is found to be passed.
    assert cap * PAGE < largest < (cap + 20) * PAGE


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_a_reader_in_the_way_of_a_restart_stops_no_change_of_any_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(store: ClosableStore) -> list[int]:
        return [await store.write(place.increment("a"), alone=["a"]) for _ in range(3)]

    async def scenario() -> list[int]:
        found = await asyncio.gather(*map(write, stores))
        return sorted(value for values in found for value in values)

    monkeypatch.setattr(sqlite, "WAL_PAGES_CAP", 10)
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(place.opened()) for _ in range(4)]
        for _ in range(6):
            do(stores[0].write(place.put("a", 0)))
        reader = opened.enter_context(contextlib.closing(raw(place)))
        reader.execute("BEGIN; SELECT * FROM sqlite_schema").fetchall()
        assert do(scenario()) == list(range(1, 13))


def files_with(place: Place, text: str) -> set[str]:
    return {file.name for file in place.folder.iterdir() if text.encode() in file.read_bytes()}


def test_a_scrub_leaves_no_deleted_text_in_any_file(place: Place, store: ClosableStore) -> None:
    do(store.write(place.put(MARKER, 1)))
    do(store.write(place.put("another", 1)))
    assert files_with(place, MARKER) != set()
    do(store.write(place.remove(MARKER)))
    do(store.scrub())
    assert files_with(place, MARKER) == set()
    assert files_with(place, "another") == {place.database}
    assert do(store.read(place.get("another"))) == 1


@pytest.mark.parametrize("database", ["keyturn.db"])
def test_a_scrub_that_finds_a_reader_in_the_way_stays_owed_and_is_done_later(
    place: Place, store: ClosableStore
) -> None:
    do(store.write(place.put(MARKER, 1)))
    with contextlib.closing(raw(place)) as reader:
        reader.execute("BEGIN; SELECT * FROM sqlite_schema").fetchall()
        do(store.write(place.remove(MARKER)))
        do(store.scrub())
        assert files_with(place, MARKER) != set()
    do(store.finish_scrub())
    assert files_with(place, MARKER) == set()


def test_a_scrub_that_was_owed_when_the_process_died_is_done_by_the_next(
    place: Place, store: ClosableStore, tmp_path: Path
) -> None:
    crashed = replace(place, folder=tmp_path / "crashed")
    do(store.write(place.put(MARKER, 1)))
    do(store.write(place.remove(MARKER)))
    # What a process leaves that dies between a removal and its scrub.
    crashed.folder.mkdir()
    for name in (place.database, f"{place.database}-wal"):
        shutil.copy(place.folder / name, crashed.folder)
    assert files_with(crashed, MARKER) == {f"{place.database}-wal"}
    with crashed.opened() as next_one:
        do(next_one.finish_scrub())
        assert files_with(crashed, MARKER) == set()


def another_file(place: Place) -> None:
    file = place.folder / place.database
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.replace(file)


def no_file(place: Place) -> None:
    (place.folder / place.database).unlink()


def another_schema(place: Place) -> None:
    with contextlib.closing(raw(place)) as connection:
        connection.execute("PRAGMA user_version = 99")


def test_a_store_in_its_place_is_sound(place: Place, store: ClosableStore) -> None:
    do(store.write(place.put("a", 1)))
    do(store.check())


@pytest.mark.parametrize("change", [another_file, no_file, another_schema])
def test_a_store_whose_file_is_not_the_one_that_was_opened_is_unavailable(
    place: Place, store: ClosableStore, change: Callable[[Place], None]
) -> None:
    change(place)
    with pytest.raises(Unavailable):
        do(store.check())


def test_a_store_that_is_closed_leaves_no_thread_no_connection_and_no_wal(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[apsw.Connection] = []
    monkeypatch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, made.append])
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 0)
    threads = set(threading.enumerate())
    with place.opened() as store:
        do(store.write(place.put("a", 1)))
        wait_until(lambda: len(settings_of_those_open(made)) == 3)
    assert set(threading.enumerate()) <= threads
    assert settings_of_those_open(made) == []
    assert [file.name for file in tmp_path.iterdir()] == [place.database]


def test_a_scan_that_takes_long_holds_up_neither_writes_nor_reads(
    place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        gate = Gate()
        scan = asyncio.ensure_future(store.scan(gate))
        await gate.entered()
        assert await store.write(place.put("a", 1)) == 1
        assert await store.read(place.get("a")) == 1
        gate.open()
        await scan

    do(scenario())
