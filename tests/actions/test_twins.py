"""Twins: the same rotation sent twice at once, in one process and in several."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Issued, Pair
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.storage.store import Result, Shape, Transaction
from tests.actions.lost import (
    DEAD,
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
        await authenticate_agent(other, call(), bearer(lost.new))
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


def test_past_the_limit_a_good_pair_is_treated_like_a_guess(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, retired = world.register().pair, lose(world).old
    for _ in range(3):
        do(rotate_own_credentials(world.service, call(ADDRESS), presented(world.register().pair)))
    paused: list[float] = []

    async def note(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("keyturn.actions.rotate_credentials.asyncio.sleep", note)
    reads = [reads_of(world, pair) for pair in (good, retired)]
    assert reads[0] == reads[1]
    assert paused == []


def reads_of(world: World, pair: Pair) -> int:
    """How often the store is asked about a request that is past the limit."""
    store = Counting(world.service.store)
    service = replace(world.service, store=store)
    request = with_key(pair, new_key())
    code = code_of(rotate_own_credentials(service, call(ADDRESS), request))
    assert code == "too_many_rotation_attempts"
    return store.reads


class Counting(Around):
    reads = 0

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        self.reads += 1
        return await super().read(work)

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        self.reads += 1
        return await super().look_up(shape, query, macs)
