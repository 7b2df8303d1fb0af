"""Repeats of a registration: the same agent again, for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.manage_tokens import NewToken, create_token, enrolment_expiry
from keyturn.actions.register_agent import Application, Registered, register_agent
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.core.credential import Kind
from keyturn.core.rate_limit import Limit
from tests.actions.keeper import Keeper
from tests.actions.lost import attempts, code_of, new_key, receipts, revealed, use
from tests.actions.world import MINUTE, Around, World, call, presented
from tests.storage.batches import do

ADDRESS = "203.0.113.7"


def apply(world: World, asked: Application, service: Service | None = None) -> Registered:
    return do(register_agent(service or world.service, call(ADDRESS), asked))


def asked(**members: Any) -> Application:
    return Application(**{"name": "mine", "idempotency_key": new_key(), **members})


def same(one: Registered, other: Registered) -> bool:
    """Whether the same answer was given twice."""
    equal = [replace(one, pair=other.pair, replayed=True) == other, other.replayed]
    return all(equal) and revealed(one.pair) == revealed(other.pair)


def test_the_same_request_has_the_same_answer_and_makes_one_agent(world: World) -> None:
    request = asked()
    first = apply(world, request)
    assert not first.replayed
    assert [same(first, apply(world, request)) for _ in range(4)] == [True] * 4
    assert len(world.trail(action="agent.registered")) == 1
    replayed = world.trail(action="agent.registration_replayed")
    assert {(entry.agent_id, entry.actor_kind) for entry in replayed} == {(first.agent_id, "agent")}
    assert len(replayed) == 4


def test_without_an_idempotency_key_every_request_makes_an_agent(world: World) -> None:
    made = [apply(world, Application("mine")) for _ in range(3)]
    assert len({each.agent_id for each in made}) == 3
    assert receipts(world) == 0


def test_quoted_and_bare_are_the_same_idempotency_key(world: World) -> None:
    request = asked()
    quoted = replace(request, idempotency_key=f'"{request.idempotency_key}"')
    assert same(apply(world, request), apply(world, quoted))


@pytest.mark.parametrize(
    "change",
    [
        {"idempotency_key": "another-idempotency-key"},
        {"idempotency_key": None},
        {"name": "Mine"},
        {"name": "mine "},
        {"name": None},
    ],
    ids=str,
)
def test_another_request_makes_another_agent(world: World, change: dict[str, Any]) -> None:
    request = asked()
    first = apply(world, request)
    other = apply(world, replace(request, **change))
    assert not other.replayed
    assert other.agent_id != first.agent_id
    assert same(first, apply(world, request))


def test_from_another_address_it_makes_another_agent(world: World) -> None:
    request = asked()
    first = apply(world, request)
    other = do(register_agent(world.service, call("203.0.113.8"), request))
    assert not other.replayed
    assert other.agent_id != first.agent_id


def test_an_address_of_the_same_network_is_the_same(world: World) -> None:
    request = asked()
    first = do(register_agent(world.service, call("2001:db8::1"), request))
    again = do(register_agent(world.service, call("2001:db8::2"), request))
    assert same(first, again)


def test_it_is_kept_for_15_minutes(world: World) -> None:
    keeper, request = Keeper(world), asked()
    first = apply(world, request)
    keeper.after(15 * MINUTE - 1)
    assert same(first, apply(world, request))
    keeper.after(1)
    again = apply(world, request)
    assert (again.replayed, again.agent_id == first.agent_id) == (False, False)
    assert same(again, apply(world, request))


def it_looks_at_itself(world: World, made: Registered) -> None:
    use(world.service, made.pair)


def it_rotates(world: World, made: Registered) -> None:
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))


def it_revokes_itself(world: World, made: Registered) -> None:
    do(revoke_self(world.service, call(), presented(made.pair)))


@pytest.mark.parametrize(
    "happening",
    [it_looks_at_itself, it_rotates, it_revokes_itself],
    ids=lambda value: value.__name__,
)
def test_after_the_first_use_the_same_request_makes_another_agent(
    world: World, happening: Callable[[World, Registered], None]
) -> None:
    request = asked()
    first = apply(world, request)
    happening(world, first)
    again = apply(world, request)
    assert (again.replayed, again.agent_id == first.agent_id) == (False, False)


def test_twenty_repeats_an_hour_are_answered(world: World) -> None:
    request = asked()
    apply(world, request)
    assert all(apply(world, request).replayed for _ in range(20))
    refused = register_agent(world.service, call(ADDRESS), request)
    assert code_of(refused) == "too_many_replays"


def test_a_repeat_needs_no_place_under_any_limit(world: World) -> None:
    one = Limit("registration", 1, 3600)
    service = world.with_policy(registration_limit=one, registration_total=one)
    request = asked()
    first = apply(world, request, service)
    assert code_of(register_agent(service, call(ADDRESS), asked())) == "too_many_registrations"
    assert same(first, apply(world, request, service))


def enrolment(world: World) -> tuple[Service, Application]:
    """An installation that asks for a token, and a request with one that is good once."""
    expiry = enrolment_expiry(world.service, None)
    new = NewToken(Kind.ENROLMENT_TOKEN, "once", world.operator.developer_id, 1, expiry)
    _, token = do(create_token(world.service, call(), world.operator, new))
    return world.with_policy(registration="enrolment"), asked(enrolment_token=token.reveal())


def test_a_token_that_is_good_once_is_spent_once_however_often_it_is_repeated(
    world: World,
) -> None:
    service, request = enrolment(world)
    first = apply(world, request, service)
    assert same(first, apply(world, request, service))
    other = replace(request, idempotency_key=new_key())
    assert code_of(register_agent(service, call(ADDRESS), other)) == "invalid_enrolment_token"
    without = replace(request, enrolment_token=None)
    assert code_of(register_agent(service, call(ADDRESS), without)) == "invalid_enrolment_token"


def test_twins_in_the_same_process_make_one_agent(world: World) -> None:
    request = asked()

    async def twins() -> list[Registered]:
        calls = (register_agent(world.service, call(ADDRESS), request) for _ in range(5))
        return await asyncio.gather(*calls)

    answers = do(twins())
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 4
    assert len({revealed(answer.pair) for answer in answers}) == 1
    assert attempts(world, ADDRESS, "registration") == 1


Twin = Callable[[], Awaitable[object]]


def before_its_attempt(service: Service, twin: Twin) -> Service:
    return replace(service, limits=Around(service.limits, before=twin))


def after_its_attempt(service: Service, twin: Twin) -> Service:
    return replace(service, limits=Around(service.limits, after=twin))


def before_its_transaction(service: Service, twin: Twin) -> Service:
    return replace(service, store=Around(service.store, before=twin))


MOMENTS = [before_its_attempt, after_its_attempt, before_its_transaction]


def overtaken(
    world: World, moment: Callable[[Service, Twin], Service], request: Application, **policy: Any
) -> tuple[Registered, Registered]:
    """The answers of two processes to one request, of which the second was overtaken."""
    policy_of = world.with_policy(**policy).policy
    first: list[Registered] = []

    async def twin() -> None:
        if not first:
            service = replace(world.service, policy=policy_of)
            first.append(await register_agent(service, call(ADDRESS), request))

    service = moment(replace(world.process(), policy=policy_of), twin)
    second = apply(world, request, service)
    return first[0], second


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda value: value.__name__)
def test_twins_in_two_processes_make_one_agent(world: World, moment: Any) -> None:
    first, second = overtaken(world, moment, asked())
    assert same(first, second)
    assert len(world.trail(action="agent.registered")) == 1


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda value: value.__name__)
def test_twins_with_a_token_that_is_good_once_make_one_agent(world: World, moment: Any) -> None:
    _, request = enrolment(world)
    first, second = overtaken(world, moment, request, registration="enrolment")
    assert same(first, second)
    assert len(world.trail(action="agent.registered")) == 1


@pytest.mark.parametrize("limit", ["registration_limit", "registration_total"])
def test_twins_at_the_last_place_of_a_limit_make_one_agent(world: World, limit: str) -> None:
    policy = {limit: Limit(limit, 1, 3600)}
    first, second = overtaken(world, before_its_attempt, asked(), **policy)
    assert same(first, second)
