"""Whoever has the files, all their earlier copies and the server key opens no lost answer."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import apsw
import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.note_use import write_uses
from keyturn.actions.register_agent import Application, register_agent
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.core.recovery import Receipt, unseal
from tests.actions.lost import DEAD, Lost, repeat, revealed, with_key
from tests.actions.world import FIRST_KEY, World, bearer, call
from tests.faults.scan import credential_needles, disguises, files, text_findings
from tests.storage.batches import do

SERVER_KEY = FIRST_KEY.secret
PLANTED = "planted" + "0" * 43


class Thief:
    """Copies every file of the installation whenever it can."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.copies: list[Path] = []

    def copy(self) -> None:
        copy = self._world.folder / "copies" / str(len(self.copies))
        shutil.copytree(self._world.folder, copy, ignore=shutil.ignore_patterns("copies"))
        self.copies.append(copy)

    def receipts(self) -> Iterator[Receipt]:
        """Every sealed answer of every copy."""
        for copy in self.copies:
            with database(copy) as connection:
                for row in connection.execute("SELECT * FROM receipts"):
                    yield Receipt(*row)

    def values(self) -> set[bytes]:
        """Whatever stands in the tables that know credentials."""
        found: set[bytes] = set()
        for copy in self.copies:
            with database(copy) as connection:
                for table in ("agents", "retired", "receipts"):
                    for row in connection.execute(f"SELECT * FROM {table}"):
                        found |= {_bytes(value) for value in row if value is not None}
        return {value for value in found if len(value) in {4, 32, 36}}


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@contextlib.contextmanager
def database(copy: Path) -> Iterator[apsw.Connection]:
    with contextlib.closing(apsw.Connection(str(copy / "keyturn.db"))) as connection:
        yield connection


@pytest.fixture
def thief(world: World) -> Thief:
    return Thief(world)


def rotate(world: World, pair: Pair) -> Lost:
    key = secrets.token_hex(32)
    issued = do(rotate_own_credentials(world.service, call(), with_key(pair, key)))
    return Lost(issued.agent_id, pair, issued.pair, key)


@pytest.fixture
def lives(world: World, thief: Thief) -> list[Lost]:
    """Three generations of one agent, each of whose lost answers the thief has a copy of."""
    asked = Application(PLANTED, idempotency_key=secrets.token_hex(32))
    made = do(register_agent(world.service, call(), asked))
    thief.copy()
    lost = [rotate(world, made.pair)]
    thief.copy()
    for _ in range(2):
        lost.append(rotate(world, lost[-1].new))
        repeat(world, lost[-1])
        repeat(world, lost[-1], idempotency_key=secrets.token_hex(32))
        thief.copy()
    do(authenticate_agent(world.service, call(), bearer(lost[-1].new)))
    do(write_uses(world.service))
    thief.copy()
    assert repeat(world, lost[-1]) == DEAD
    return lost


def test_the_copies_hold_every_answer_and_its_own_proof_opens_it(
    thief: Thief, lives: list[Lost]
) -> None:
    rotations = {receipt.generation: receipt for receipt in thief.receipts()}
    assert set(rotations) == {1, 2, 3, 4}
    for generation, lost in enumerate(lives, start=2):
        proof = [*(text.encode() for text in (*revealed(lost.old), lost.key)), SERVER_KEY]
        opened = unseal(rotations[generation], proof)
        assert opened is not None
        assert all(text.encode() in opened for text in revealed(lost.new))


def test_nothing_in_the_files_opens_one(thief: Thief, lives: list[Lost]) -> None:
    assert lives
    values = sorted(thief.values())
    assert any(len(value) == 32 for value in values)
    # Of one generation's answer every triple is tried; each value alone on all of them.
    last = max(thief.receipts(), key=lambda receipt: receipt.generation)
    few = values[:12]
    assert not any(unseal(last, [*parts, SERVER_KEY]) for parts in product(few, repeat=3))
    for receipt in thief.receipts():
        for value in values:
            assert unseal(receipt, [value, SERVER_KEY]) is None
            assert unseal(receipt, [value, value, value, SERVER_KEY]) is None


@pytest.mark.parametrize("missing", [0, 1, 2], ids=["old key", "old secret", "idempotency key"])
def test_without_any_one_part_of_the_request_none_opens(
    thief: Thief, lives: list[Lost], missing: int
) -> None:
    values = [b"", *sorted(thief.values())]
    for receipt in thief.receipts():
        for lost in lives:
            parts = [text.encode() for text in (*revealed(lost.old), lost.key)]
            for value in values:
                parts[missing] = value
                assert unseal(receipt, [*parts, SERVER_KEY]) is None


def test_without_the_server_key_the_request_itself_opens_none(
    thief: Thief, lives: list[Lost]
) -> None:
    for receipt in thief.receipts():
        for lost in lives:
            parts = [text.encode() for text in (*revealed(lost.old), lost.key)]
            for value in (b"", bytes(32), *thief.values()):
                assert unseal(receipt, [*parts, value]) is None


def test_no_credential_and_no_idempotency_key_stands_in_any_file_in_any_disguise(
    thief: Thief, lives: list[Lost]
) -> None:
    credentials = {
        text for lost in lives for pair in (lost.old, lost.new) for text in revealed(pair)
    }
    wanted = credential_needles(credentials)
    for lost in lives:
        wanted |= dict.fromkeys(disguises(lost.key.encode()), "an idempotency key")
    for copy in thief.copies:
        assert list(text_findings(wanted, files(copy, but="none"))) == []
    everything = [files(copy, but="none") for copy in thief.copies]
    planted = [list(text_findings({PLANTED.encode(): "planted"}, held)) for held in everything]
    assert all(planted), "the search is blind"
