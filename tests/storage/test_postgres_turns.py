"""Writers of different processes on PostgreSQL: who waits for whom, and who does not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.errors import Unavailable
from keyturn.storage.postgres_server import SLOTS
from keyturn.storage.store import Transaction
from tests.postgres import Cluster
from tests.storage.backends import ClosableStore, Place, Postgres
from tests.storage.batches import Gate, do, outcomes, waiting

BOTH_WAIT = 0.3
"""Seconds in which both writers come to wait for the third."""


@pytest.fixture
def place(postgres: Cluster, tmp_path: Path) -> Place:
    Postgres().place(tmp_path, postgres.new_database())
    return Place("postgres", "keyturn.db", tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[ClosableStore]:
    with place.opened() as opened:
        yield opened


@pytest.fixture
def other(place: Place) -> Iterator[ClosableStore]:
    with place.opened() as opened:
        yield opened


def test_changes_without_a_name_in_common_go_on_side_by_side(
    place: Place, store: ClosableStore, other: ClosableStore
) -> None:
    async def scenario() -> None:
        gate = Gate()
        held = await waiting(store, gate, alone=["a", "b"])
        await gate.entered()
        assert await other.write(place.put("c", 1), alone=["c", "d"]) == 1
        gate.open()
        await outcomes(held)

    asyncio.run(scenario())


def test_changes_with_a_name_in_common_wait_for_one_another(
    place: Place, store: ClosableStore, other: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.TURN_MILLISECONDS", 50)

    async def scenario() -> None:
        gate = Gate()
        held = await waiting(store, gate, alone=["a", "b"])
        await gate.entered()
        [found] = await outcomes(await waiting(other, place.put("c", 1), alone=["b", "c"]))
        assert isinstance(found, Unavailable)
        gate.open()
        await outcomes(held)
        assert await other.write(place.put("c", 1), alone=["b", "c"]) == 1

    asyncio.run(scenario())


def test_names_that_are_given_in_any_order_never_wait_in_a_circle(
    place: Place, store: ClosableStore, other: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A circle is broken by the server, and would be tried again.
    monkeypatch.setattr("keyturn.storage.group_commit.CONFLICT_TRIES", 1)
    names = [str(number) for number in range(50)]

    async def scenario() -> None:
        with psycopg.connect((place.folder / "url").read_text()) as third:
            third.execute(f"SELECT FROM keyturn_turns WHERE slot > {SLOTS * 0.9} FOR UPDATE")
            tasks = [
                *await waiting(store, place.put("a", 1), alone=names),
                *await waiting(other, place.put("a", 2), alone=names[::-1]),
            ]
            await asyncio.sleep(BOTH_WAIT)
        assert await outcomes(tasks) == [1, 2]

    do(store.write(place.put("a", 0)))
    for _ in range(3):
        asyncio.run(scenario())


@pytest.mark.parametrize("taken", ["the token", "its developer"])
def test_nobody_is_cut_off_between_showing_a_token_and_what_it_was_shown_for(
    store: ClosableStore, other: ClosableStore, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.TURN_MILLISECONDS", 50)

    def make(tx: Transaction) -> None:
        tx.execute("add_server_key", id="k1", verifier=b"", now=0)
        values = {"kind": "dt", "name": "", "mac": b"t", "server_key": "k1", "last4": "", "now": 0}
        owner = {"developer_id": BUILT_IN_OWNER, "expires_at": None, "max_uses": None}
        tx.execute("add_token", id="t", **values, **owner)

    def take_away(tx: Transaction) -> int:
        if taken == "the token":
            return tx.execute("delete_token", id="t")
        return tx.execute("disable_developer", id=BUILT_IN_OWNER)

    async def scenario() -> None:
        gate = Gate()

        def show(tx: Transaction) -> None:
            tx.one(int, "hold_token", id="t")
            gate(tx)

        await store.write(make)
        held = await waiting(store, show)
        await gate.entered()
        [found] = await outcomes(await waiting(other, take_away))
        assert isinstance(found, Unavailable)
        gate.open()
        await outcomes(held)
        assert await other.write(take_away) == 1

    asyncio.run(scenario())
