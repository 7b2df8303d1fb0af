"""Writers of different processes on PostgreSQL: who waits for whom, and who does not."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import psycopg
import pytest

from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.errors import Unavailable
from keyturn.core.rate_limit import Counted
from keyturn.storage.postgres import WriterConnection
from keyturn.storage.postgres_server import SLOTS
from keyturn.storage.postgres_session import Session
from keyturn.storage.store import Transaction
from tests.postgres import Cluster
from tests.storage.backends import ClosableStore, Place, Postgres
from tests.storage.batches import PATIENCE, Gate, do, outcomes, waiting

BOTH_WAIT = 0.3
"""Seconds in which both writers come to wait for the third."""
HELD = 0.01


@pytest.fixture
def place(postgres: Cluster, tmp_path: Path) -> Place:
    return Postgres().new_place(postgres, tmp_path)


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
    place: Place, store: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.TURN_MILLISECONDS", 50)

    async def scenario(other: ClosableStore) -> None:
        gate = Gate()
        held = await waiting(store, gate, alone=["a", "b"])
        await gate.entered()
        [found] = await outcomes(await waiting(other, place.put("c", 1), alone=["b", "c"]))
        assert isinstance(found, Unavailable)
        gate.open()
        await outcomes(held)
        assert await other.write(place.put("c", 1), alone=["b", "c"]) == 1

    with place.opened() as hurried:
        asyncio.run(scenario(hurried))


def test_a_change_whose_name_is_taken_lets_the_others_of_its_process_go_on(
    place: Place, store: ClosableStore, other: ClosableStore
) -> None:
    async def scenario() -> None:
        gate = Gate()
        held = await waiting(store, gate, alone=["a", "b"])
        await gate.entered()
        [late] = await waiting(other, place.put("c", 1), alone=["b", "c"])
        # They come together with it, and after it.
        assert await outcomes(await waiting(other, place.put("d", 2), alone=["d"])) == [2]
        assert await other.write(place.put("e", 3), alone=["c"]) == 3
        assert await other.write(place.put("f", 4)) == 4
        assert not late.done()
        gate.open()
        await outcomes([*held, late])
        assert await late == 1

    asyncio.run(scenario())


def test_a_name_that_others_hand_to_one_another_without_a_gap_is_had_all_the_same(
    place: Place, store: ClosableStore
) -> None:
    slot = WriterConnection(cast(Session, None), "credentials")._slot("hot")
    end = threading.Event()

    def hold_again_and_again() -> None:
        with psycopg.connect((place.folder / "url").read_text()) as connection:
            while not end.is_set():
                connection.execute(f"SELECT FROM keyturn_turns WHERE slot = {slot} FOR UPDATE")
                time.sleep(HELD)
                connection.commit()

    with ThreadPoolExecutor(2) as others:
        holding = [others.submit(hold_again_and_again) for _ in range(2)]
        try:
            for number in range(5):
                assert do(store.write(place.put("a", number), alone=["hot"])) == number
        finally:
            end.set()
        for each in holding:
            each.result(PATIENCE)


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

    def take_away(tx: Transaction) -> int:
        if taken == "the token":
            return tx.execute("delete_token", id="t")
        return tx.execute("disable_developer", id=BUILT_IN_OWNER)

    async def scenario() -> None:
        gate = Gate()

        def show(tx: Transaction) -> None:
            tx.one(int, "hold_token", id="t")
            gate(tx)

        await store.write(token)
        held = await waiting(store, show)
        await gate.entered()
        [found] = await outcomes(await waiting(other, take_away))
        assert isinstance(found, Unavailable)
        gate.open()
        await outcomes(held)
        assert await other.write(take_away) == 1

    asyncio.run(scenario())


def token(tx: Transaction) -> None:
    """A token that may be used."""
    tx.execute("add_server_key", id="k1", verifier=b"", now=0)
    values = {"kind": "dt", "name": "", "mac": b"t", "server_key": "k1", "last4": "", "now": 0}
    lasting = {"expires_at": None, "max_uses": None}
    owner = {"developer_id": BUILT_IN_OWNER, "created_by": None}
    tx.execute("add_token", id="t", **values, **lasting, **owner)


def test_two_that_hold_a_token_and_note_its_use_never_wait_in_a_circle(
    store: ClosableStore, other: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.group_commit.CONFLICT_TRIES", 1)
    both_hold = threading.Barrier(2, timeout=PATIENCE)

    def use(at: int) -> Callable[[Transaction], int]:
        def work(tx: Transaction) -> int:
            tx.one(int, "hold_token", id="t")
            both_hold.wait()
            return tx.execute("note_token_used", id="t", at=at)

        return work

    async def scenario() -> None:
        await store.write(token)
        assert 1 in await asyncio.gather(store.write(use(1)), other.write(use(2)))

    asyncio.run(scenario())


def test_a_charge_that_is_renewed_while_old_ones_are_forgotten_stays(
    store: ClosableStore, other: ClosableStore
) -> None:
    def charge(until: int) -> Callable[[Transaction], int]:
        values = {"mac": b"c", "server_key": "k1", "agent_id": "a", "cost": 1}
        return lambda tx: tx.execute("put_charge", **values, expires_at=until)

    async def scenario() -> None:
        gate = Gate()
        await store.write(charge(10))
        renewing = await waiting(store, charge(1000), gate)
        await gate.entered()
        forgetting = await waiting(other, lambda tx: tx.execute("forget_charges", now=20, limit=9))
        await asyncio.sleep(BOTH_WAIT)
        gate.open()
        await outcomes(renewing + forgetting)
        kept = await store.read(lambda tx: tx.one(tuple_of, "charge_by_mac", mac=b"c", now=20))
        assert kept == ("a", 1)

    asyncio.run(scenario())


def tuple_of(*columns: object) -> tuple[object, ...]:
    return columns


@pytest.mark.parametrize(
    ("ahead", "counted"), [(0, 1), (1000, 1), (1001, 0)], ids=["none", "a second", "more"]
)
def test_an_attempt_counts_whose_clock_is_a_little_ahead(
    postgres: Cluster, tmp_path: Path, ahead: int, counted: int
) -> None:
    limits = Postgres().new_place(postgres, tmp_path, "limits.db")
    values = {"bucket": "b", "after": 0, "now": 5000, "quota": 3}
    with limits.opened() as opened:
        do(
            opened.write(
                lambda tx: tx.execute("add_attempt", bucket="b", now=5000 + ahead, expires_at=9999)
            )
        )
        found = do(opened.read(lambda tx: tx.one(Counted, "counted_attempts", **values)))
    assert found is not None
    assert found.count == counted
