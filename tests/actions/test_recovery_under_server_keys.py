"""Lost answers and retired credentials when server keys are added and taken away."""

from dataclasses import replace

import pytest

from keyturn.actions.guard_server_keys import (
    Dependents,
    MissingServerKey,
    abandon_server_key,
    check_server_keys,
    dependents_of,
)
from keyturn.actions.keep_house import forget_old_retired
from keyturn.actions.register_agent import Application, register_agent
from keyturn.actions.rotate_credentials import rotate_own_credentials
from tests.actions.keeper import Keeper
from tests.actions.lost import DEAD, REPLAYED, code_of, lose, new_key, repeat, revealed, with_key
from tests.actions.reused import noticed
from tests.actions.world import FIRST_KEY, SECOND, SECOND_KEY, World, call
from tests.storage.batches import do


def test_after_a_key_is_added_a_lost_answer_can_be_had_again(world: World) -> None:
    lost = lose(world)
    later = world.process(SECOND_KEY, FIRST_KEY)
    assert [repeat(world, lost, later) for _ in range(2)] == [REPLAYED] * 2
    assert repeat(world, lost, later, idempotency_key=new_key()) == DEAD
    assert repeat(world, lost, world.process(FIRST_KEY, SECOND_KEY)) == REPLAYED


def test_an_answer_under_the_new_key_can_be_had_from_where_the_old_one_is_current(
    world: World,
) -> None:
    lost = lose(world, service=world.process(SECOND_KEY, FIRST_KEY))
    assert repeat(world, lost, world.process(FIRST_KEY, SECOND_KEY)) == REPLAYED


def test_a_registration_can_be_repeated_after_a_key_is_added(world: World) -> None:
    asked, address = Application(idempotency_key=new_key()), "203.0.113.7"
    first = do(register_agent(world.service, call(address), asked))
    later = world.process(SECOND_KEY, FIRST_KEY)
    again = do(register_agent(later, call(address), asked))
    assert again.replayed
    assert (revealed(first.pair) == revealed(again.pair)) is True


def test_an_earlier_idempotency_key_stays_refused_after_a_key_is_added(world: World) -> None:
    lost = lose(world)
    later = world.process(SECOND_KEY, FIRST_KEY)
    request = with_key(lost.new, lost.key)
    assert code_of(rotate_own_credentials(later, call(), request)) == "idempotency_key_reused"


def test_reuse_is_known_after_a_key_is_added(world: World) -> None:
    lost = lose(world)
    second = lose(world, lost.new)
    later = replace(world.process(SECOND_KEY, FIRST_KEY), reuses=world.service.reuses)
    world.clock.wait(61 * SECOND)
    assert repeat(world, lost, later) == DEAD
    assert repeat(world, second, later, idempotency_key=None) == DEAD
    assert noticed(world) == [("info", "pair", 1), ("critical", "pair", 2)]


def test_a_missing_key_tells_how_many_retired_credentials_and_receipts_need_it(
    world: World,
) -> None:
    lose(world)
    lose(world, lose(world).new)
    assert do(dependents_of(world.service.store, "k1")) == Dependents(
        agents=2, retired=3, receipts=2
    )
    told = "2 agents, 3 retired credentials, 2 receipts, 0 charges and 0 tokens need it"
    with pytest.raises(MissingServerKey, match=told):
        do(check_server_keys(world.service.store, [SECOND_KEY]))


def test_a_rotation_brings_everything_of_it_to_the_current_key(world: World) -> None:
    made = world.register()
    lost = lose(world, made.pair, world.process(SECOND_KEY, FIRST_KEY))
    assert do(dependents_of(world.service.store, "k1")) == Dependents()
    do(check_server_keys(world.service.store, [SECOND_KEY]))
    assert repeat(world, lost, world.process(SECOND_KEY)) == REPLAYED


def test_a_key_that_only_a_receipt_needs_is_missed_until_it_ends(world: World) -> None:
    keeper, lost = Keeper(world), lose(world)
    statement = "UPDATE agents SET key_server_key = 'k2', secret_server_key = 'k2'"
    later = world.process(SECOND_KEY, FIRST_KEY)
    world.edit(statement)
    world.edit("DELETE FROM retired")
    with pytest.raises(MissingServerKey, match="0 agents, 0 retired credentials, 1 receipts"):
        do(check_server_keys(world.service.store, [SECOND_KEY]))
    keeper.after(days=31)
    do(check_server_keys(world.service.store, [SECOND_KEY]))
    assert repeat(world, lost, later) == DEAD


def test_a_key_that_only_retired_credentials_need_is_missed_for_a_year(world: World) -> None:
    first = lose(world)
    lose(world, first.new, world.process(SECOND_KEY, FIRST_KEY))
    assert do(dependents_of(world.service.store, "k1")) == Dependents(retired=1)
    with pytest.raises(MissingServerKey, match="0 agents, 1 retired credentials, 0 receipts"):
        do(check_server_keys(world.service.store, [SECOND_KEY]))
    world.clock.wait(days=366)
    do(forget_old_retired(world.service))
    do(check_server_keys(world.service.store, [SECOND_KEY]))


def test_under_an_abandoned_key_nothing_opens_and_nothing_breaks(world: World) -> None:
    lost = lose(world)
    now, entry_id = world.clock.now, world.service.new_id()
    do(abandon_server_key(world.service.store, "k1", now=now, entry_id=entry_id))
    without = world.process(SECOND_KEY)
    assert repeat(world, lost, without) == DEAD
    fresh = lose(world, service=without, pair=world.register(without).pair)
    assert repeat(world, fresh, without) == REPLAYED
    # What was sealed under it opens again when it is put back.
    assert repeat(world, lost, world.process(SECOND_KEY, FIRST_KEY)) == REPLAYED


@pytest.mark.parametrize("secret", [b"", b"2" * 32, b"1" * 31 + b"2"])
def test_another_server_key_of_the_same_id_opens_nothing(world: World, secret: bytes) -> None:
    lost = lose(world)
    key = replace(FIRST_KEY, secret=secret)
    wrong = replace(world.service, keyring=type(world.service.keyring)([key]))
    # It is found by what it was kept under, so that only the seal is left to stop it.
    receipt = world.service.keyring.mac(lost.old.api_key).digest.hex()
    found = wrong.keyring.mac(lost.old.api_key).digest.hex()
    world.edit(f"UPDATE receipts SET lookup = x'{found}' WHERE lookup = x'{receipt}'")
    assert repeat(world, lost, wrong) == "unavailable"
