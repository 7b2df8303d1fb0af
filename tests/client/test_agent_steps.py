"""Registering, looking and revoking step by step, as values: no sockets, no waiting."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn.client import AlreadyRegistered, NeedsDeveloper, TryAgain
from keyturn.client.credentials import Registration, Rotation
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Operation
from keyturn.client.operations import Operations
from tests.client import fake as world
from tests.client.fake import idempotency, problem, says
from tests.client.steps import URL, Stage, knows_the_pair, rotation


def registering(path: Path, name: str | None = "agent") -> Operation[Any]:
    return Operations(CredentialsFile(path), 0).register(URL, name, None, allow_http=False)


def test_a_registration_is_repeated_by_whoever_registers_next(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    stage.fake.faults = [world.answer_is_lost]
    with pytest.raises(TryAgain):
        stage.play(registering(path))
    assert isinstance(CredentialsFile(path).read().pending, Registration)
    stage.play(registering(path))
    assert len(stage.fake.registered) == 1
    assert knows_the_pair(CredentialsFile(path), stage.fake)


def test_a_registration_is_finished_by_a_rotation_too(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    stage.fake.faults = [world.answer_is_lost]
    with pytest.raises(TryAgain):
        stage.play(registering(path))
    stage.play(rotation(stage, CredentialsFile(path)))
    assert len(stage.fake.registered) == 1
    assert knows_the_pair(CredentialsFile(path), stage.fake)


def test_another_registration_replaces_one_that_failed(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    stage.fake.faults = [world.never_arrives]
    with pytest.raises(TryAgain):
        stage.play(registering(path, "mistyped"))
    stage.play(registering(path, "agent"))
    first, second, _ = stage.fake.asked
    assert idempotency(first) != idempotency(second)
    assert json.loads(second.content) == {"name": "agent"}


def test_an_agent_is_never_replaced_by_another(stage: Stage, file: CredentialsFile) -> None:
    before = file.path.read_bytes()
    with pytest.raises(AlreadyRegistered):
        stage.play(registering(file.path))
    assert file.path.read_bytes() == before
    assert stage.sent() == []


@pytest.mark.parametrize("code", ["agent_quarantined", "no_rotation_secret"])
def test_what_stands_in_the_way_of_a_rotation_does_not_hinder_a_revocation(
    stage: Stage, file: CredentialsFile, code: str
) -> None:
    refused = says(problem(403, code))
    stage.fake.faults = [refused, refused]
    with pytest.raises(NeedsDeveloper):
        stage.play(rotation(stage, file))
    assert isinstance(file.read().pending, Rotation)
    stage.play(Operations(file, 0).revoke())
    assert stage.fake.status == "revoked"


def test_revoking_twice_is_no_failure(stage: Stage, file: CredentialsFile) -> None:
    stage.play(Operations(file, 0).revoke())
    stage.fake.faults = [says(problem(403, "agent_revoked"))]
    stage.play(Operations(file, 0).revoke())
    assert knows_the_pair(file, stage.fake)


def test_a_status_without_the_server_is_what_the_file_says(
    stage: Stage, file: CredentialsFile
) -> None:
    stage.fake.faults = [world.never_arrives]
    status = stage.play(Operations(file, 0).status())
    assert status.agent_id == stage.fake.agent_id
    assert status.server is None and isinstance(status.problem, TryAgain)


def test_a_status_finishes_what_is_pending(stage: Stage, file: CredentialsFile) -> None:
    stage.fake.faults = [world.answer_is_lost]
    with pytest.raises(TryAgain):
        stage.play(rotation(stage, file, seconds=0))
    status = stage.play(Operations(file, 60).status())
    assert status.server is not None and status.server.generation == 2
    assert not status.unfinished and knows_the_pair(file, stage.fake)


def test_a_status_keeps_a_period_that_a_developer_has_changed(
    stage: Stage, file: CredentialsFile
) -> None:
    stage.fake.period = timedelta(days=1)
    stage.play(Operations(file, 60).status())
    holder = file.read().holder
    assert holder is not None and holder.due_at - holder.created_at == timedelta(days=1)
