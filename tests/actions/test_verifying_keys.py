"""Whose key is this, for which service, and what does the check cost?"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from keyturn.actions.authenticate import authenticate_service
from keyturn.actions.issue_credentials import Pair, new_pair, replace_secret
from keyturn.actions.manage_agents import delete_agent
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.register_agent import Registered
from keyturn.actions.revoke_agent import revoke_for_developer
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.actions.verify_key import CHARGE_LIFETIME, Check, verify_key, verify_keys
from keyturn.core.agent import MAX_CREDITS, Agent
from keyturn.core.errors import ChargeRepeated, InvalidCredentials, InvalidToken
from keyturn.storage.store import Shape, Store, Transaction
from tests.actions.checked import ONCE, Shop
from tests.actions.reused import noticed
from tests.actions.world import FIRST_KEY, SECOND_KEY, Around, World, call, presented
from tests.storage.batches import do

UNKNOWN = "invalid_credentials"


def key_of(made: Registered | Pair) -> str:
    pair = made.pair if isinstance(made, Registered) else made
    return pair.api_key.reveal()


@pytest.mark.parametrize("cost", [0, 1])
def test_a_dead_key_is_refused_from_the_moment_it_dies(world: World, cost: int) -> None:
    shop, made = Shop(world), world.register()
    pair = do(rotate_own_credentials(world.service, call(), presented(made.pair))).pair
    assert shop.check(Check(key_of(made), cost), Check(key_of(pair), cost)) == [UNKNOWN, 100 - cost]
    again = do(rotate_for_developer(world.service, call(), world.operator, made.agent_id)).pair
    assert shop.check(Check(key_of(pair), cost), Check(key_of(again), cost))[0] == UNKNOWN
    do(revoke_for_developer(world.service, call(), world.operator, made.agent_id, ""))
    assert shop.check(Check(key_of(again), cost)) == ["agent_revoked"]
    do(delete_agent(world.service, call(), world.operator, made.agent_id))
    assert shop.check(Check(key_of(again), cost)) == [UNKNOWN]


@pytest.mark.parametrize("cost", [0, 1])
def test_a_key_that_dies_between_the_look_and_the_charge_is_refused(
    world: World, cost: int
) -> None:
    shop, made = Shop(world), world.register()

    async def rotate() -> None:
        if world.agent(made.agent_id).generation == 1:
            await rotate_own_credentials(world.service, call(), presented(made.pair))

    racing = replace(world.service, store=Around(world.service.store, before=rotate))
    told = shop.check(Check(key_of(made), cost), service=racing)
    assert told == ([UNKNOWN] if cost else [100])
    assert world.agent(made.agent_id).credit_balance == 100


def test_a_key_whose_secret_alone_was_replaced_meanwhile_is_charged(world: World) -> None:
    shop, made = Shop(world), world.register()
    agent = world.agent(made.agent_id)

    async def configure() -> None:
        def change(tx: Transaction) -> None:
            replace_secret(tx, world.service, agent, None)

        await world.service.store.write(change)

    racing = replace(world.service, store=Around(world.service.store, before=configure))
    assert shop.check(Check(key_of(made), 7), service=racing) == [93]


def test_a_developers_service_sees_that_developers_agents_alone(world: World) -> None:
    _, ada = world.developer("ada@example.com")
    made = world.register()
    for shop, told in (
        (Shop(world, ada), UNKNOWN),
        (Shop(world, world.operator), 100),
        (Shop(world), 100),
    ):
        assert shop.check(Check(key_of(made))) == [told]


def test_what_a_service_does_not_see_it_cannot_charge(world: World) -> None:
    _, ada = world.developer("ada@example.com")
    made = world.register()
    assert Shop(world, ada).check(Check(key_of(made), 1)) == [UNKNOWN]
    assert world.agent(made.agent_id).credit_balance == 100


COSTS = {
    "nothing": (0, 100),
    "one credit": (1, 99),
    "all of it": (100, 0),
    "more than there is": (101, "insufficient_credits"),
    "more than any balance": (MAX_CREDITS + 1, "insufficient_credits"),
    "more than the store can count": (10**30, "insufficient_credits"),
}


@pytest.mark.parametrize("case", COSTS)
def test_a_cost_is_taken_whole_or_not_at_all(world: World, case: str) -> None:
    cost, told = COSTS[case]
    shop, made = Shop(world), world.register()
    assert shop.check(Check(key_of(made), cost)) == [told]
    left = told if isinstance(told, int) else 100
    assert world.agent(made.agent_id).credit_balance == left


def test_a_batch_is_charged_in_its_order_and_tells_what_is_left(world: World) -> None:
    shop, rich, other = Shop(world), world.register(), world.register()
    key, second = key_of(rich), key_of(other)
    checks = [Check(key, 60), Check("x"), Check(key, 60), Check(second, 1), Check(key, 40)]
    told = shop.check(*checks, Check(key), Check(second))
    assert told == [40, UNKNOWN, "insufficient_credits", 99, 0, 0, 99]


def test_many_at_once_never_take_more_than_there_is(world: World) -> None:
    shop, made = Shop(world), world.register()

    async def all_at_once() -> list[Agent]:
        charge = [Check(key_of(made), 3)]
        told = await asyncio.gather(
            *(verify_keys(world.service, call(), shop.token, charge) for _ in range(50))
        )
        return [found for (found,) in told if isinstance(found, Agent)]

    paid = do(all_at_once())
    assert sorted(agent.credit_balance for agent in paid) == [*range(1, 100, 3)]
    assert world.agent(made.agent_id).credit_balance == 1


def test_an_idempotency_key_takes_a_cost_once_in_a_day(world: World) -> None:
    shop, made = Shop(world), world.register()
    check = Check(key_of(made), 10)
    assert [shop.check(check, once=ONCE) for _ in range(3)] == [[90]] * 3
    world.clock.wait(CHARGE_LIFETIME - 1)
    assert shop.check(check, once=ONCE) == [90]
    world.clock.wait(1)
    assert shop.check(check, once=ONCE) == [80]


def test_a_charge_that_failed_leaves_its_idempotency_key_free(world: World) -> None:
    shop, made = Shop(world), world.register()
    assert shop.check(Check(key_of(made), 101), once=ONCE) == ["insufficient_credits"]
    assert shop.check(Check(key_of(made), 1), once=ONCE) == [99]


def test_the_last_credit_can_be_asked_for_again(world: World) -> None:
    shop, made = Shop(world), world.register()
    assert shop.check(Check(key_of(made), 100), once=ONCE) == [0]
    assert shop.check(Check(key_of(made), 100), once=ONCE) == [0]


def test_an_idempotency_key_is_of_one_agent_and_one_cost(world: World) -> None:
    shop, made, other = Shop(world), world.register(), world.register()
    shop.check(Check(key_of(made), 1), once=ONCE)
    for check in (Check(key_of(made), 2), Check(key_of(other), 1)):
        with pytest.raises(ChargeRepeated):
            shop.check(check, once=ONCE)
    assert world.agent(other.agent_id).credit_balance == 100
    assert Shop(world).check(Check(key_of(made), 2), once=ONCE) == [97]


def test_a_charge_is_known_under_a_new_server_key(world: World) -> None:
    shop, made = Shop(world), world.register()
    assert shop.check(Check(key_of(made), 1), once=ONCE) == [99]
    later = world.process(SECOND_KEY, FIRST_KEY)
    assert shop.check(Check(key_of(made), 1), once=ONCE, service=later) == [99]


def test_a_batch_under_an_idempotency_key_is_taken_once_as_a_whole(world: World) -> None:
    shop, made = Shop(world), world.register()
    checks = [Check(key_of(made), 5), Check(key_of(made), 5)]
    assert shop.check(*checks, once=ONCE) == [95, 90]
    assert shop.check(*checks, once=ONCE) == [90, 90]


def test_no_idempotency_key_is_in_the_files(world: World) -> None:
    Shop(world).check(Check(key_of(world.register()), 1), once=ONCE)
    for path in world.folder.iterdir():
        assert ONCE.encode() not in path.read_bytes()


def test_a_retired_key_is_noticed_at_a_check(world: World) -> None:
    made = world.register()
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    world.clock.wait(61_000)
    with pytest.raises(InvalidCredentials):
        do(verify_key(world.service, call(), key_of(made)))
    do(move_refusals_to_trail(world.service))
    assert noticed(world, made.agent_id) == [("warning", "api_key", 1)]


def refuse(service: Service, times: int, addresses: int = 1) -> None:
    calls = [call() for _ in range(addresses)]
    for number in range(times):
        with pytest.raises(InvalidToken):
            do(authenticate_service(service, calls[number % addresses], "sk_live_sv_wrong"))


def test_bad_service_tokens_are_an_entry_and_then_a_count(world: World) -> None:
    refuse(world.service, 40)
    do(move_refusals_to_trail(world.service))
    world.clock.wait(16 * 60_000)
    do(move_refusals_to_trail(world.service))
    entries = world.trail(action="token.refused")
    assert [entry.details.get("count", 1) for entry in entries] == [1, 39]


def test_a_flood_from_everywhere_is_counted_in_bounded_memory(world: World) -> None:
    refuse(world.service, 3000, addresses=3000)
    kept = world.service.refused.take()
    assert len(kept) == 1001
    assert sum(refusal.times for refusal in kept) == 3000


def test_a_request_without_a_token_is_refused_and_not_recorded(world: World) -> None:
    with pytest.raises(InvalidToken):
        do(authenticate_service(world.service, call(), None))
    assert world.service.refused.take() == []


def test_where_a_key_was_used_is_kept(world: World) -> None:
    made = world.register()
    do(verify_key(world.service, call("203.0.113.9"), key_of(made)))
    do(write_uses(world.service))
    assert world.agent(made.agent_id).last_used_address == "203.0.113.9"


def test_a_key_that_cannot_pay_was_not_used(world: World) -> None:
    shop, made = Shop(world), world.register()
    assert shop.check(Check(key_of(made), 101)) == ["insufficient_credits"]
    do(write_uses(world.service))
    assert world.agent(made.agent_id).last_used_at is None
    assert shop.check(Check(key_of(made), 1)) == [99]
    do(write_uses(world.service))
    assert world.agent(made.agent_id).last_used_at == world.clock.now


class Asked(Around):
    """A store that notes its look-ups: which statement, for how many values."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.look_ups: list[tuple[str, int]] = []

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        self.look_ups.append((query, len(macs)))
        return await super().look_up(shape, query, macs)


@pytest.mark.parametrize("cost", [0, 1])
def test_all_dead_keys_of_a_batch_are_looked_for_at_once_and_at_the_same_cost(
    world: World, cost: int
) -> None:
    shop, good = Shop(world), world.register()
    retired = [world.register() for _ in range(2)]
    for made in retired:
        do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    never = [key_of(new_pair(world.service)) for _ in range(3)]
    seen = []
    for dead in (never, [key_of(retired[0]), key_of(retired[1]), key_of(retired[0])]):
        store = Asked(world.service.store)
        checks = [Check(key, cost) for key in ("malformed", dead[0], key_of(good), *dead[1:])]
        told = shop.check(*checks, service=replace(world.service, store=store))
        assert told.count(UNKNOWN) == 4
        seen.append(store.look_ups)
    assert seen[0] == seen[1]
    assert seen[0].count(("retired_by_key_or_newest", 3)) == 1
    assert [sighting.times for sighting in world.service.reuses.take()] == [2, 1]
