"""Repeats of a rotation: the same answer, what it costs, and twins that meet."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Issued
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.actions.service import Service
from tests.actions.lost import (
    DEAD,
    REPLAYED,
    attempts,
    code_of,
    lose,
    new_key,
    repeat,
    revealed,
    with_key,
)
from tests.actions.world import MINUTE, Around, World, bearer, call, presented
from tests.storage.batches import do

ADDRESS = "203.0.113.7"
HOUR = 60 * MINUTE
REUSED = "idempotency_key_reused"

Before = Callable[[Service, Callable[[], Awaitable[object]]], Service]


def test_the_same_request_has_the_same_answer_as_often_as_it_is_lost(world: World) -> None:
    lost = lose(world)
    assert [repeat(world, lost) for _ in range(5)] == [REPLAYED] * 5
    assert world.agent(lost.agent_id).generation == 2


def test_it_comes_to_another_address_and_from_another_process_too(world: World) -> None:
    lost = lose(world)
    assert repeat(world, lost, world.process(), address="2001:db8::7") == REPLAYED


def test_quoted_and_bare_are_the_same_idempotency_key(world: World) -> None:
    lost = lose(world)
    assert repeat(world, lost, idempotency_key=f'"{lost.key}"') == REPLAYED
    awkward, made = 'a"key\\with-both-of-them', world.register()
    escaped = '"a\\"key\\\\with-both-of-them"'
    first = do(rotate_own_credentials(world.service, call(), with_key(made.pair, escaped)))
    again = do(rotate_own_credentials(world.service, call(), with_key(made.pair, awkward)))
    assert again.replayed
    assert (revealed(first.pair) == revealed(again.pair)) is True


def test_the_answer_keeps_the_name_that_the_agent_had(world: World) -> None:
    lost = lose(world)
    name = world.agent(lost.agent_id).name
    world.edit(f"UPDATE agents SET name = 'another' WHERE id = '{lost.agent_id}'")
    again = do(rotate_own_credentials(world.service, call(), with_key(lost.old, lost.key)))
    assert again.agent_name == name


def test_a_repeat_spends_no_attempt_and_needs_none(world: World) -> None:
    lost = lose(world)
    codes = [repeat(world, lost, address=ADDRESS, authorization="Bearer x") for _ in range(4)]
    assert codes == [DEAD] * 3 + ["too_many_rotation_attempts"]
    assert repeat(world, lost, address=ADDRESS) == REPLAYED
    assert attempts(world, ADDRESS) == 3


def test_twenty_repeats_an_hour_and_then_again_later(world: World) -> None:
    lost, other = lose(world), lose(world)
    assert {repeat(world, lost) for _ in range(20)} == {REPLAYED}
    world.clock.wait(HOUR - 1)
    assert [repeat(world, lost) for _ in range(3)] == ["too_many_replays"] * 3
    assert repeat(world, other) == REPLAYED
    # Those that were refused did not count.
    world.clock.wait(1)
    assert {repeat(world, lost) for _ in range(20)} == {REPLAYED}
    assert repeat(world, lost) == "too_many_replays"


def test_the_repeats_of_one_rotation_take_nothing_from_those_of_the_next(world: World) -> None:
    first = lose(world)
    assert {repeat(world, first) for _ in range(19)} == {REPLAYED}
    saved = do(rotate_own_credentials(world.service, call(), with_key(first.old, first.key)))
    following = lose(world, saved.pair)
    assert {repeat(world, following) for _ in range(20)} == {REPLAYED}


def test_past_the_cap_a_wrong_idempotency_key_is_a_401_as_before(world: World) -> None:
    lost = lose(world)
    for _ in range(21):
        repeat(world, lost)
    assert repeat(world, lost, idempotency_key=new_key()) == DEAD


def test_guesses_take_nothing_from_the_repeats_of_the_right_one(world: World) -> None:
    lost = lose(world)
    for _ in range(25):
        assert repeat(world, lost, idempotency_key=new_key()) == DEAD
    assert {repeat(world, lost) for _ in range(20)} == {REPLAYED}


def test_a_refusal_past_the_cap_tells_when_to_come_back(world: World) -> None:
    lost = lose(world)
    for _ in range(20):
        repeat(world, lost)
    world.clock.wait(10 * MINUTE)
    refused = call()
    request = with_key(lost.old, lost.key)
    assert code_of(rotate_own_credentials(world.service, refused, request)) == "too_many_replays"
    assert refused.verdict is not None
    assert refused.verdict.reset_seconds == 50 * 60


def test_each_repeat_is_in_the_trail_and_each_generation_once(world: World) -> None:
    lost = lose(world)
    for _ in range(3):
        repeat(world, lost)
    second = lose(world, lost.new)
    repeat(world, second)
    [agent_id] = {lost.agent_id, second.agent_id}
    rotated = world.trail(action="credential.rotated", agent_id=agent_id)
    assert [entry.details["generation"] for entry in rotated] == [2, 3]
    replayed = world.trail(action="credential.rotation_replayed", agent_id=agent_id)
    assert [entry.details for entry in replayed] == [{"generation": 2}] * 3 + [{"generation": 3}]
    assert {(entry.actor_kind, entry.actor_id, entry.outcome) for entry in replayed} == {
        ("agent", agent_id, "success")
    }
    assert world.trail(action="credential.reused") == []


def test_a_repeat_whose_entry_cannot_be_made_gives_nothing_out(world: World) -> None:
    lost = lose(world)

    def fails(_count: int) -> bytes:
        raise OSError("no randomness")

    service = replace(world.service, random_bytes=fails)
    with pytest.raises(OSError, match="no randomness"):
        repeat(world, lost, service)
    assert repeat(world, lost) == REPLAYED


def test_an_idempotency_key_of_an_earlier_rotation_is_refused_with_the_current_pair(
    world: World,
) -> None:
    lost = lose(world)
    again = with_key(lost.new, lost.key)
    assert code_of(rotate_own_credentials(world.service, call(), again)) == REUSED
    quoted = with_key(lost.new, f'"{lost.key}"')
    assert code_of(rotate_own_credentials(world.service, call(), quoted)) == REUSED
    assert world.agent(lost.agent_id).generation == 2
    # What refused it has not used the new key: the answer can still be had.
    assert repeat(world, lost) == REPLAYED


def test_it_stays_refused_for_all_generations_to_come(world: World) -> None:
    first = lose(world)
    second = lose(world, first.new)
    moved = do(rotate_for_developer(world.service, call(), world.operator, first.agent_id))
    for key, code in ((first.key, REUSED), (second.key, REUSED), (new_key(), "")):
        again = with_key(moved.pair, key)
        assert code_of(rotate_own_credentials(world.service, call(), again)) == code


def test_another_agents_idempotency_key_is_no_earlier_one(world: World) -> None:
    one, other = lose(world), lose(world)
    for mine, theirs in ((one, other), (other, one)):
        request = with_key(mine.new, theirs.key)
        assert code_of(rotate_own_credentials(world.service, call(), request)) == ""


def test_with_a_wrong_secret_an_earlier_idempotency_key_tells_nothing(world: World) -> None:
    lost = lose(world)
    request = replace(with_key(lost.new, lost.key), rotation_secret="sk_live_rs_" + "0" * 49)
    assert code_of(rotate_own_credentials(world.service, call(), request)) == DEAD


def test_a_twin_in_the_same_process_waits_and_has_the_same_answer(world: World) -> None:
    request = with_key(world.register().pair, new_key())

    async def twins() -> list[Issued]:
        one = (rotate_own_credentials(world.service, call(ADDRESS), request) for _ in range(5))
        return await asyncio.gather(*one)

    answers = do(twins())
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 4
    assert len({revealed(answer.pair) for answer in answers}) == 1
    assert attempts(world, ADDRESS) == 1


def test_a_twin_that_was_refused_lets_the_other_try(world: World) -> None:
    request = replace(with_key(world.register().pair, new_key()), authorization="Bearer x")

    async def twins() -> list[object]:
        one = (rotate_own_credentials(world.service, call(ADDRESS), request) for _ in range(4))
        return await asyncio.gather(*one, return_exceptions=True)

    codes = sorted(getattr(answer, "code", "") for answer in do(twins()))
    assert codes == [DEAD] * 3 + ["too_many_rotation_attempts"]


def test_locks_of_finished_requests_are_not_kept(world: World) -> None:
    lost = lose(world)
    repeat(world, lost)
    assert len(world.service.turns) == 0


def before_the_attempt_is_counted(
    service: Service, twin: Callable[[], Awaitable[object]]
) -> Service:
    return replace(service, limits=Around(service.limits, before=twin))


def after_the_attempt_is_counted(
    service: Service, twin: Callable[[], Awaitable[object]]
) -> Service:
    return replace(service, limits=Around(service.limits, after=twin))


def before_the_transaction(service: Service, twin: Callable[[], Awaitable[object]]) -> Service:
    return replace(service, store=Around(service.store, before=twin))


MOMENTS: list[Before] = [
    before_the_attempt_is_counted,
    after_the_attempt_is_counted,
    before_the_transaction,
]


def overtaken(world: World, moment: Before, request: Any) -> tuple[Service, list[Issued]]:
    """Another process, which a twin of the request in this one overtakes at that moment."""
    answers: list[Issued] = []

    async def twin() -> None:
        if not answers:
            answers.append(await rotate_own_credentials(world.service, call(), request))

    return moment(world.process(), twin), answers


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda value: value.__name__)
def test_a_twin_in_another_process_has_the_same_answer_and_its_attempt_back(
    world: World, moment: Before
) -> None:
    request = with_key(world.register().pair, new_key())
    service, first = overtaken(world, moment, request)
    second_call = call(ADDRESS)
    second = do(rotate_own_credentials(service, second_call, request))
    assert second.replayed
    assert (revealed(first[0].pair) == revealed(second.pair)) is True
    assert attempts(world, ADDRESS) == 0
    assert second_call.verdict is not None
    assert second_call.verdict.remaining == 3
    assert world.trail(action="credential.rotation_refused") == []
    assert world.trail(action="credential.reused") == []


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda value: value.__name__)
def test_a_replica_with_another_idempotency_key_is_refused_and_pays(
    world: World, moment: Before
) -> None:
    request = with_key(world.register().pair, new_key())
    service, _ = overtaken(world, moment, request)
    replica = replace(request, idempotency_key=new_key())
    assert code_of(rotate_own_credentials(service, call(ADDRESS), replica)) == DEAD
    assert attempts(world, ADDRESS) == 1
    do(move_refusals_to_trail(service))
    [entry] = world.trail(action="credential.reused")
    assert entry.details["severity"] == "info"


def test_a_first_use_between_a_repeats_look_and_its_entry_ends_it(world: World) -> None:
    lost, other = lose(world), world.process()

    async def used() -> None:
        authenticate_agent(other, call(), bearer(lost.new))
        await write_uses(other)

    service = replace(world.service, store=Around(world.service.store, before=used))
    assert repeat(world, lost, service) == DEAD
    assert world.trail(action="credential.rotation_replayed") == []


def test_a_twin_that_another_process_answers_with_the_last_attempt_is_waited_for(
    world: World,
) -> None:
    made, address = world.register(), ADDRESS
    for _ in range(2):
        spent = presented(world.register().pair)
        do(rotate_own_credentials(world.service, call(address), spent))
    request = with_key(made.pair, new_key())

    async def both() -> tuple[Issued, Issued]:
        here = rotate_own_credentials(world.service, call(address), request)
        there = rotate_own_credentials(other, call(address), request)
        return await asyncio.gather(here, there)

    other = world.process()
    one, two = do(both())
    assert revealed(one.pair) == revealed(two.pair)
    assert sorted([one.replayed, two.replayed]) == [False, True]
