"""Registering, looking and revoking step by step, as values: no sockets, no waiting."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn.client import (
    AlreadyRegistered,
    CredentialsFileError,
    CredentialsRefused,
    InvalidInput,
    NeedsDeveloper,
    TryAgain,
)
from keyturn.client.credentials import Registration, Rotation, Sealed
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Operation
from keyturn.client.operations import Operations
from keyturn.core.credential import Kind
from tests.client import fake as world
from tests.client.fake import credential, idempotency, problem, says
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


def test_a_registration_that_may_have_spent_its_token_is_finished_first(
    stage: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "agent.json"
    token = Sealed(credential(Kind.ENROLMENT_TOKEN))
    operations = Operations(CredentialsFile(path), 0)
    stage.fake.faults = [world.answer_is_lost]
    with pytest.raises(TryAgain):
        stage.play(operations.register(URL, "first", token, allow_http=False))
    stage.play(operations.register(URL, "second", token, allow_http=False))
    assert len(stage.fake.registered) == 1
    assert knows_the_pair(CredentialsFile(path), stage.fake)


def test_a_registration_whose_token_was_refused_is_replaced(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    operations = Operations(CredentialsFile(path), 0)
    refused = says(problem(401, "invalid_enrolment_token"))
    stage.fake.faults = [refused, refused]
    bad, good = (Sealed(credential(Kind.ENROLMENT_TOKEN)) for _ in range(2))
    with pytest.raises(CredentialsRefused):
        stage.play(operations.register(URL, "agent", bad, allow_http=False))
    stage.play(operations.register(URL, "agent", good, allow_http=False))
    assert knows_the_pair(CredentialsFile(path), stage.fake)


def test_a_name_that_is_no_text_is_refused_before_anything_is_written(
    stage: Stage, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput):
        stage.play(registering(tmp_path / "agent.json", "x\udcff"))
    assert list(tmp_path.iterdir()) == [] and stage.sent() == []


@pytest.mark.parametrize("due", ["9999-12-31T00:00:00Z", "2026-01-01T00:00:00Z"])
def test_a_date_that_makes_no_sense_stands_in_no_rotations_way(
    stage: Stage, file: CredentialsFile, due: str
) -> None:
    members = json.loads(file.path.read_text())
    members["current"] |= {"createdAt": "2026-06-01T00:00:00Z", "dueAt": due}
    file.path.write_text(json.dumps(members))
    stage.play(rotation(stage, file))
    assert knows_the_pair(file, stage.fake)


def test_a_date_before_all_dates_is_damage(file: CredentialsFile) -> None:
    members = json.loads(file.path.read_text())
    members["current"]["dueAt"] = "0001-01-01T00:00:00+01:00"
    file.path.write_text(json.dumps(members))
    with pytest.raises(CredentialsFileError):
        file.read()


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
