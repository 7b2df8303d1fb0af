"""Repeats of a rotation: the same answer, and what it costs."""

from dataclasses import replace

import pytest

from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
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
from tests.actions.world import MINUTE, World, call
from tests.storage.batches import do

ADDRESS = "203.0.113.7"
HOUR = 60 * MINUTE
REUSED = "idempotency_key_reused"


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
