"""Attempts are taken exactly: over processes, over time, and whatever the clock does."""

import asyncio
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.actions.take_attempt import take_attempt, take_own_attempt
from keyturn.core.errors import InvalidCredentials, KeyturnError, TooManyRotationAttempts
from keyturn.core.rate_limit import Limit
from tests.actions.world import MINUTE, SECOND, Around, World, call, presented
from tests.storage.batches import do

LIMIT = Limit("rotation", 3, 900)
BUCKET = "203.0.113.7"
_buckets = count()


def take(service: Service, limit: Limit = LIMIT, bucket: str = BUCKET) -> bool:
    return do(take_attempt(service, limit, bucket)).allowed


def test_of_many_attempts_at_once_in_several_processes_exactly_three_pass(world: World) -> None:
    services = [world.service, world.process(), world.process()]

    async def all_at_once() -> list[bool]:
        attempts = [take_attempt(service, LIMIT, BUCKET) for service in services * 8]
        return [verdict.allowed for verdict in await asyncio.gather(*attempts)]

    assert sum(do(all_at_once())) == 3
    world.clock.wait(15 * MINUTE)
    assert sum(do(all_at_once())) == 3


def test_an_attempt_that_waits_for_the_store_counts_those_that_were_taken_meanwhile(
    world: World,
) -> None:
    other = world.process()
    passed: list[bool] = []

    async def three_of_another_process() -> None:
        world.clock.wait(5)
        passed.extend([(await take_attempt(other, LIMIT, BUCKET)).allowed for _ in range(3)])

    waiting = Around(world.service.limits, before=three_of_another_process)
    passed.append(take(replace(world.service, limits=waiting)))
    assert passed == [True, True, True, False]


def test_the_window_slides_and_refused_attempts_are_not_counted(world: World) -> None:
    passed = []
    for minute in range(46):
        if take(world.service):
            passed.append(minute)
        world.clock.wait(MINUTE)
    assert passed == [0, 1, 2, 15, 16, 17, 30, 31, 32, 45]


def test_what_was_counted_survives_a_restart(world: World) -> None:
    assert [take(world.service) for _ in range(2)] == [True, True]
    assert [take(world.process()) for _ in range(2)] == [True, False]


def test_attempts_dated_in_the_future_are_ignored(world: World) -> None:
    world.clock.wait(days=1)
    assert [take(world.service) for _ in range(4)] == [True, True, True, False]
    world.clock.wait(days=-1)
    assert [take(world.service) for _ in range(4)] == [True, True, True, False]


def test_addresses_and_limits_are_counted_apart(world: World) -> None:
    for _ in range(3):
        take(world.service)
    assert not take(world.service)
    assert take(world.service, bucket="203.0.113.8")
    assert take(world.service, limit=Limit("revocation", 10, 900))


def test_a_changed_limit_holds_at_once(world: World) -> None:
    for _ in range(3):
        take(world.service)
    assert take(world.service, limit=Limit("rotation", 4, 900))
    assert not take(world.service, limit=Limit("rotation", 2, 900))
    world.clock.wait(10 * SECOND)
    assert take(world.service, limit=Limit("rotation", 1, 10))


def test_the_verdict_is_left_for_the_answer(world: World) -> None:
    told = []
    for _ in range(4):
        request = call(BUCKET)
        allowed = do(take_own_attempt(world.service, LIMIT, request))
        assert request.verdict is not None
        told.append((allowed, request.verdict.remaining, request.verdict.reset_seconds))
        world.clock.wait(MINUTE)
    assert told == [(True, 2, 900), (True, 1, 840), (True, 0, 780), (False, 0, 720)]


def test_a_rotation_takes_one_attempt_whatever_becomes_of_it(world: World) -> None:
    made = world.register()
    pair = presented(made.pair)

    async def rotate() -> None:
        await rotate_own_credentials(world.service, call(BUCKET), pair)

    do(rotate())
    for _ in range(2):
        with pytest.raises(InvalidCredentials):
            do(rotate())
    with pytest.raises(TooManyRotationAttempts, match=r"\(3, 900\)") as raised:
        do(rotate())
    assert raised.value.detail.endswith("(max 3 per 15 minutes)")


def test_what_the_request_alone_refuses_takes_no_attempt(world: World) -> None:
    made = world.register()
    good = presented(made.pair)
    for malformed, code in (
        (replace(good, authorization=None), "invalid_credentials"),
        (replace(good, authorization="Basic abc"), "invalid_credentials"),
        (replace(good, rotation_secret=None), "rotation_secret_required"),
        (replace(good, rotation_secret=""), "rotation_secret_required"),
        (replace(good, idempotency_key="too short"), "invalid_idempotency_key"),
    ):
        request = call(BUCKET)
        with pytest.raises(KeyturnError) as raised:
            do(rotate_own_credentials(world.service, request, malformed))
        assert (raised.value.code, request.verdict) == (code, None)
    assert world.trail(action="credential.rotation_refused") == []
    request = call(BUCKET)
    do(rotate_own_credentials(world.service, request, good))
    assert request.verdict is not None
    assert request.verdict.remaining == 2


moments = st.lists(st.integers(0, 4 * SECOND), min_size=1, max_size=12)


@given(quota=st.integers(1, 3), seconds=st.integers(1, 5), gaps=moments)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_store_counts_as_a_naive_model_does(
    world: World, quota: int, seconds: int, gaps: list[int]
) -> None:
    limit, bucket = Limit("any", quota, seconds), f"bucket {next(_buckets)}"
    taken: list[int] = []
    for gap in gaps:
        world.clock.wait(gap)
        now = world.clock.now
        expected = sum(1 for at in taken if at > now - limit.window) < quota
        assert take(world.service, limit, bucket) is expected
        if expected:
            taken.append(now)
