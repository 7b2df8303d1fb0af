"""A rotation whose file can't be written: when, and what it leaves."""

import os
from pathlib import Path
from typing import Any

import pytest

from keyturn.client import CredentialsFileError, TryAgain
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Effect, Send
from tests.client import fake as world
from tests.client.steps import Stage, knows_the_pair, rotation


def test_a_pending_rotation_is_made_durable_again_before_it_is_sent(
    stage: Stage, file: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fake.faults = [world.never_arrives]
    with pytest.raises(TryAgain):
        stage.play(rotation(stage, file, seconds=0))
    written: list[str] = []
    rename = os.rename

    def noted(*paths: Path) -> None:
        written.append("file")
        rename(*paths)

    monkeypatch.setattr(os, "rename", noted)
    before = len(stage.fake.asked)

    def look(effect: Effect) -> None:
        if isinstance(effect, Send) and len(stage.fake.asked) == before:
            written.append("sent")

    stage.before_each = look
    stage.play(rotation(stage, file))
    assert written[:2] == ["file", "sent"]


def test_nothing_is_sent_when_the_idempotency_key_cannot_be_saved(
    stage: Stage, file: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, "fsync", from_call=2)
    with pytest.raises(CredentialsFileError, match=r"No space left.*Nothing was sent"):
        stage.play(rotation(stage, file))
    assert stage.sent() == []


def test_a_new_pair_that_cannot_be_saved_is_not_used_and_comes_again(
    stage: Stage, file: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as faulty:
        stage.before_each = lambda effect: (
            fail(faulty, "write") if isinstance(effect, Send) else None
        )
        with pytest.raises(CredentialsFileError, match=r"Nothing is lost.*run it again"):
            stage.play(rotation(stage, file))
    stage.before_each = lambda _: None
    assert stage.sent() == ["rotate-key"]
    assert stage.fake.generation == 2 and not knows_the_pair(file, stage.fake)
    stage.play(rotation(stage, file))
    assert stage.fake.generation == 2 and knows_the_pair(file, stage.fake)


def test_saving_the_new_pair_is_tried_again(
    stage: Stage, file: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.before_each = lambda effect: (
        fail(monkeypatch, "rename", calls=2)
        if isinstance(effect, Send) and effect.request.method == "POST"
        else None
    )
    stage.play(rotation(stage, file))
    assert stage.waited() > 0
    assert stage.fake.generation == 2 and knows_the_pair(file, stage.fake)


def fail(
    monkeypatch: pytest.MonkeyPatch, name: str, *, from_call: int = 0, calls: int = 1000
) -> None:
    """Let calls of `os.name` find the disk full."""
    real, count = getattr(os, name), 0

    def faulty(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if from_call <= count - 1 < from_call + calls:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, faulty)
