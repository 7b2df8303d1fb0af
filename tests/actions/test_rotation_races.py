"""Rotations that meet each other or something else: one wins, and the others change nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.manage_agents import (
    configure_rotation_secret,
    delete_agent,
    remove_rotation_secret,
)
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer, revoke_self
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.core.errors import KeyturnError
from keyturn.storage.store import Result, Transaction
from tests.actions.world import Around, World, call, presented
from tests.storage.batches import do

Meanwhile = Callable[[World, Any], Awaitable[object]]


@pytest.fixture(autouse=True)
def _operator(world: World) -> None:
    """Who acts meanwhile has to be there before."""
    assert world.operator.operator


async def it_rotates(world: World, made: Any) -> None:
    await rotate_own_credentials(world.service, call(), presented(made.pair))


async def its_developer_rotates(world: World, made: Any) -> None:
    await rotate_for_developer(world.service, call(), world.operator, made.agent_id)


async def it_is_revoked(world: World, made: Any) -> None:
    await revoke_for_developer(world.service, call(), world.operator, made.agent_id, "")


async def it_revokes_itself(world: World, made: Any) -> None:
    await revoke_self(world.service, call(), presented(made.pair))


async def it_is_revoked_and_reinstated(world: World, made: Any) -> None:
    await it_is_revoked(world, made)
    await reinstate_agent(world.service, call(), world.operator, made.agent_id)


async def its_secret_is_removed(world: World, made: Any) -> None:
    await remove_rotation_secret(world.service, call(), world.operator, made.agent_id)


async def it_gets_another_secret(world: World, made: Any) -> None:
    await configure_rotation_secret(world.service, call(), world.operator, made.agent_id)


async def it_is_quarantined(world: World, made: Any) -> None:
    world.quarantine(made.agent_id)


async def it_is_deleted(world: World, made: Any) -> None:
    await delete_agent(world.service, call(), world.operator, made.agent_id)


RACES: list[tuple[Meanwhile, str]] = [
    (it_rotates, "invalid_credentials"),
    (its_developer_rotates, "invalid_credentials"),
    (it_is_revoked, "agent_revoked"),
    (it_revokes_itself, "agent_revoked"),
    (it_is_revoked_and_reinstated, "invalid_credentials"),
    (its_secret_is_removed, "no_rotation_secret"),
    (it_gets_another_secret, "invalid_credentials"),
    (it_is_quarantined, "agent_quarantined"),
    (it_is_deleted, "invalid_credentials"),
]


def between(world: World, made: Any, meanwhile: Meanwhile) -> Service:
    """The service, where this happens after the first look and before the transaction."""
    happened: list[str] = []

    async def before() -> None:
        if not happened:
            happened.append("it")
            await meanwhile(world, made)

    return replace(world.service, store=Around(world.service.store, before=before))


@pytest.mark.parametrize(
    ("meanwhile", "code"), RACES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rotation_that_something_overtakes_is_refused_and_changes_nothing(
    world: World, meanwhile: Meanwhile, code: str
) -> None:
    made, witness = world.register(), world.register()
    after: list[object] = []

    async def note_what_is_there(world: World, made: Any) -> None:
        await meanwhile(world, made)
        after.append(world.look(lambda tx: tx.all(tuple_of, "agent_by_id", id=made.agent_id)))

    service = between(world, made, note_what_is_there)
    with pytest.raises(KeyturnError) as raised:
        do(rotate_own_credentials(service, call("203.0.113.7"), presented(made.pair)))
    assert raised.value.code == code
    now = world.look(lambda tx: tx.all(tuple_of, "agent_by_id", id=made.agent_id))
    assert (after == [now]) is True
    assert world.agent(witness.agent_id).generation == 1
    [refused] = [
        entry
        for entry in world.trail(action="credential.rotation_refused")
        if entry.address == "203.0.113.7"
    ]
    assert refused.outcome == "refused"
    assert (refused.agent_id, refused.details["reason"]) == (made.agent_id, code)


def tuple_of(*columns: object) -> tuple[object, ...]:
    return columns


def test_a_revocation_that_a_rotation_overtakes_changes_nothing(world: World) -> None:
    made = world.register()
    with pytest.raises(KeyturnError) as raised:
        do(revoke_self(between(world, made, it_rotates), call(), presented(made.pair)))
    assert raised.value.code == "invalid_credentials"
    assert world.agent(made.agent_id).status == "active"


class Overtaken:
    """A transaction in which another one commits just before the credentials are replaced.

    SQLite allows none; a database that isolates less would.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.fence = tx.fence
        self.execute_later = tx.execute_later
        self.one = tx.one
        self.all = tx.all

    def execute(self, query: str, /, **values: Any) -> int:
        if query == "replace_credentials":
            values["generation"] -= 1
        return self._tx.execute(query, **values)


class Lax(Around):
    async def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Result:
        return await super().write(lambda tx: work(Overtaken(tx)), alone=alone)


def test_a_compare_and_swap_that_finds_another_generation_is_row_9(world: World) -> None:
    made = world.register()
    before = world.agent(made.agent_id)
    service = replace(world.service, store=Lax(world.service.store))
    with pytest.raises(KeyturnError) as raised:
        do(rotate_own_credentials(service, call(), presented(made.pair)))
    assert raised.value.code == "invalid_credentials"
    assert (world.agent(made.agent_id) == before) is True
    assert world.trail(action="credential.rotated") == []


def test_of_many_rotations_with_one_pair_in_several_processes_one_succeeds(world: World) -> None:
    services = [world.service, world.process(), world.process()]

    async def race(made: Any) -> list[str]:
        async def rotate(service: Service) -> str:
            try:
                await rotate_own_credentials(service, call(), presented(made.pair))
            except KeyturnError as error:
                return error.code
            return "rotated"

        return await asyncio.gather(*map(rotate, services * 5))

    for _ in range(5):
        made = world.register()
        assert sorted(do(race(made))) == ["invalid_credentials"] * 14 + ["rotated"]
        assert world.agent(made.agent_id).generation == 2
        rotated = world.trail(action="credential.rotated", agent_id=made.agent_id)
        assert [entry.details for entry in rotated] == [{"generation": 2}]


def test_a_rotation_whose_entry_cannot_be_made_changes_nothing(world: World) -> None:
    made = world.register()
    before = world.agent(made.agent_id)

    def fails_for_ids(count: int) -> bytes:
        if count == 16:
            raise OSError("no randomness")
        return bytes(range(count))

    service = replace(world.service, random_bytes=fails_for_ids)
    with pytest.raises(OSError, match="no randomness"):
        do(rotate_own_credentials(service, call(), presented(made.pair)))
    assert (world.agent(made.agent_id) == before) is True
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))


def test_a_rotation_counts_as_a_use_and_keeps_all_else(world: World) -> None:
    made = world.register()
    before = world.agent(made.agent_id)
    world.clock.wait(5000)
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    after = world.agent(made.agent_id)
    assert after.generation == 2
    assert after.last_used_at == after.key_created_at == world.clock.now
    changed = {"generation", "last_used_at", "last_used_address", "key_created_at"}
    changed |= {"key_mac", "key_last4", "secret_mac"}
    kept = set(before._fields) - changed
    assert all(getattr(after, name) == getattr(before, name) for name in kept)
