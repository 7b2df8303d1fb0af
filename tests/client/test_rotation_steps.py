"""Recoverable rotation step by step, as values: no sockets, no waiting."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from keyturn.client import (
    ClientError,
    Limited,
    TryAgain,
)
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Answer, Effect, Send
from keyturn.client.rotation import Deadline, catch_up
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, idempotency, problem, says
from tests.client.steps import Stage, file_of, knows_the_pair, pending_key, rotation, stored_of


def test_a_rotation_leaves_the_new_pair_in_the_file(stage: Stage, file: CredentialsFile) -> None:
    stage.play(rotation(stage, file))
    assert stage.fake.generation == 2
    assert knows_the_pair(file, stage.fake)
    assert pending_key(file) is None


def test_a_rotation_is_two_round_trips(stage: Stage, file: CredentialsFile) -> None:
    stage.play(rotation(stage, file))
    assert stage.sent() == ["rotate-key", "self"]


def test_the_idempotency_key_is_in_the_file_before_it_is_sent(
    stage: Stage, file: CredentialsFile
) -> None:
    kept: list[str | None] = []

    def look(effect: Effect) -> None:
        if isinstance(effect, Send) and effect.request.method == "POST":
            kept.append(pending_key(file))

    stage.before_each = look
    stage.play(rotation(stage, file))
    assert kept == [idempotency(stage.fake.rotations()[0])]
    assert kept[0] is not None and len(kept[0]) >= 22


def test_the_new_pair_is_in_the_file_before_it_is_used(stage: Stage, file: CredentialsFile) -> None:
    def look(effect: Effect) -> None:
        if isinstance(effect, Send) and effect.request.method == "GET":
            assert knows_the_pair(file, stage.fake)

    stage.before_each = look
    stage.play(rotation(stage, file))


def test_every_rotation_has_a_new_idempotency_key(stage: Stage, file: CredentialsFile) -> None:
    stage.play(rotation(stage, file))
    stage.play(rotation(stage, file))
    first, second = (idempotency(request) for request in stage.fake.rotations())
    assert first != second


AGAIN: dict[str, world.Fault] = {
    "a lost answer": world.answer_is_lost,
    "no connection": world.never_arrives,
    "a cut answer": world.answer_is_cut,
    "408": says(problem(408, "request_timeout")),
    "409": says(problem(409, "conflict")),
    "425": says(Answer(425, httpx.Headers(), b"")),
    "429": says(problem(429, "too_many_rotation_attempts", Retry_After="7")),
    "500": says(problem(500, "internal")),
    "502 of a proxy": says(Answer(502, httpx.Headers({"content-type": "text/html"}), b"<html>")),
    "503": says(problem(503, "unavailable", Retry_After="1")),
}


@pytest.mark.parametrize("fault", AGAIN)
def test_the_same_request_is_sent_again_after(
    stage: Stage, file: CredentialsFile, fault: str
) -> None:
    stage.fake.faults = [AGAIN[fault]]
    stage.play(rotation(stage, file))
    first, second = stage.fake.rotations()
    assert (first.headers, first.content) == (second.headers, second.content)
    assert stage.fake.generation == 2
    assert knows_the_pair(file, stage.fake)


def test_a_limit_is_waited_for_as_told(stage: Stage, file: CredentialsFile) -> None:
    stage.fake.faults = [AGAIN["429"]]
    stage.play(rotation(stage, file))
    assert 7 <= stage.waited() < 8


@pytest.mark.parametrize("fault", AGAIN)
def test_a_process_that_dies_after_a_fault_leaves_all_that_the_next_needs(
    stage: Stage, file: CredentialsFile, fault: str
) -> None:
    stage.fake.faults = [AGAIN[fault]]
    with pytest.raises(ClientError):
        stage.play(rotation(stage, file, seconds=0))
    stage.play(rotation(stage, file))
    first, second = stage.fake.rotations()
    assert idempotency(first) == idempotency(second)
    assert stage.fake.generation == 2
    assert knows_the_pair(file, stage.fake)


def test_patience_runs_out_and_the_outcome_is_said_to_be_unknown(
    stage: Stage, file: CredentialsFile
) -> None:
    stage.fake.faults = [world.never_arrives] * 100
    with pytest.raises(TryAgain, match=r"Nothing is lost.*Run it again") as raised:
        stage.play(rotation(stage, file))
    assert "ConnectError" in raised.value.wrong
    assert 40 < stage.waited() <= 60
    assert len(stage.fake.rotations()) < 20


def test_a_limit_beyond_all_patience_is_told_at_once(stage: Stage, file: CredentialsFile) -> None:
    stage.fake.faults = [says(problem(429, "too_many_rotation_attempts", Retry_After="800"))]
    with pytest.raises(Limited) as raised:
        stage.play(rotation(stage, file))
    assert 800 <= raised.value.retry_after < 801
    assert stage.waited() == 0


def test_an_idempotency_key_of_an_earlier_rotation_is_replaced_once(
    stage: Stage, file: CredentialsFile
) -> None:
    stage.fake.faults = [says(problem(422, "idempotency_key_reused"))]
    stage.play(rotation(stage, file))
    first, second = (idempotency(request) for request in stage.fake.rotations())
    assert first != second
    assert stage.fake.generation == 2 and knows_the_pair(file, stage.fake)


def test_and_not_for_ever(stage: Stage, file: CredentialsFile) -> None:
    stage.fake.faults = [says(problem(422, "idempotency_key_reused"))] * 2
    with pytest.raises(ClientError):
        stage.play(rotation(stage, file))
    assert len(stage.fake.rotations()) == 2


def test_a_failure_to_learn_the_dates_is_none_of_the_rotation(
    stage: Stage, file: CredentialsFile
) -> None:
    def then_away(fake: FakeKeyturn, request: httpx.Request) -> Answer:
        fake.faults = [world.never_arrives]
        return fake.decide(request)

    stage.fake.faults = [then_away]
    stage.play(rotation(stage, file))
    holder = file.read().holder
    assert holder is not None and holder.due_at - holder.created_at == timedelta(days=7)
    assert knows_the_pair(file, stage.fake)


def test_the_dates_are_the_servers(stage: Stage, file: CredentialsFile) -> None:
    stage.fake.period = timedelta(days=30)
    stage.play(rotation(stage, file))
    holder = file.read().holder
    assert holder is not None and holder.due_at - holder.created_at == timedelta(days=30)


def test_a_process_that_comes_second_uses_what_the_first_has_made(
    stage: Stage, file: CredentialsFile
) -> None:
    seen = file.read()
    stage.play(rotation(stage, file))
    deadline = Deadline(60, stage.clock)
    stored = stage.play(catch_up(file, seen, deadline, begin=True))
    assert stage.fake.generation == 2
    assert stored.has_key_of(file.read())


def test_a_lock_that_is_never_let_go_of_ends_patience(stage: Stage, file: CredentialsFile) -> None:
    other = file.lock()
    assert other.try_acquire()
    with pytest.raises(TryAgain, match="Another process"):
        stage.play(rotation(stage, file, seconds=5))
    other.release()
    stage.play(rotation(stage, file))
    assert stage.fake.generation == 2


class Killed(BaseException):
    pass


def test_an_interruption_at_any_step_lets_go_of_the_lock_and_locks_nobody_out(
    tmp_path: Path,
) -> None:
    steps = 0
    while True:
        stage = Stage()
        file = file_of(tmp_path, stored_of(stage.fake))

        def interrupt(_: Effect, stage: Stage = stage, at: int = steps) -> None:
            if len(stage.effects) == at + 1:
                raise Killed

        stage.before_each = interrupt
        try:
            stage.play(rotation(stage, file))
        except Killed:
            stage.before_each = lambda _: None
            stage.play(rotation(stage, file))
            assert knows_the_pair(file, stage.fake) and stage.fake.generation in (2, 3)
            steps += 1
        else:
            break
    assert steps >= 7
