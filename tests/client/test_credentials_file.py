"""A credentials file that is not as it should be is refused, and left exactly as it is."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyturn.client import CredentialsFileError, NoCredentialsFile
from keyturn.client.credentials import IdempotencyKey, Registration, Rotation, Stored, encode
from keyturn.client.credentials_file import CredentialsFile
from keyturn.core.credential import Kind
from tests.client.fake import FakeKeyturn, credential
from tests.client.steps import Stage, file_of, rotation, stored_of


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def a_list(path: Path) -> None:
    path.write_text("[]")


def nested_without_end(path: Path) -> None:
    path.write_text("[" * 60_000)


def huge(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" " * 100_000)


def readable_by_all(path: Path) -> None:
    path.chmod(0o644)


def writable_by_the_group(path: Path) -> None:
    path.chmod(0o620)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def with_member(name: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return change


def with_current(**members: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        content["current"] |= members
        path.write_text(json.dumps(content))

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncated, "is not JSON"),
    "empty": (empty, "is not JSON"),
    "binary": (binary, "is not JSON"),
    "nested without end": (nested_without_end, "is not JSON"),
    "a list": (a_list, "is not a credentials file"),
    "huge": (huge, "too large"),
    "of another version": (with_member("version", 2), "this version"),
    "without an address": (with_member("url", "keys.example.com"), "no address"),
    "with a password in its address": (
        with_member("url", "https://a:b@keys.example"),
        "no address",
    ),
    "without an agent": (with_member("agentId", None), "damaged credentials"),
    "without credentials": (with_member("current", None), "has no credentials"),
    "with a damaged key": (with_current(apiKey=credential(Kind.API_KEY)[:-1]), "damaged"),
    "with the secret in the key's place": (
        with_current(apiKey=credential(Kind.ROTATION_SECRET)),
        "damaged",
    ),
    "with a secret of another system": (with_current(rotationSecret="hunter2"), "damaged"),
    "without a date": (with_current(dueAt=None), "damaged"),
    "with a date without a zone": (with_current(dueAt="2026-01-01T00:00:00"), "damaged"),
    "with an unknown request": (with_member("pending", {"kind": "other"}), "unfinished request"),
    "with a short idempotency key": (
        with_member("pending", {"kind": "rotation", "idempotencyKey": "short"}),
        "unfinished request",
    ),
    "readable by all": (readable_by_all, r"open to other users \(mode 0644\)"),
    "writable by the group": (writable_by_the_group, "open to other users"),
    "a link": (a_link, "symbolic link"),
    "a directory": (a_directory, "not a regular file"),
    "a pipe": (a_pipe, "not a regular file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_is_refused_and_left_alone_when_it_is(tmp_path: Path, damage: str) -> None:
    stage = Stage()
    file = file_of(tmp_path, stored_of(stage.fake))
    change, reason = DAMAGE[damage]
    change(file.path)
    before = snapshot(tmp_path)
    with pytest.raises(CredentialsFileError, match=reason) as raised:
        stage.play(rotation(stage, file))
    assert snapshot(tmp_path) == before
    assert stage.sent() == []
    assert str(file.path) in raised.value.wrong
    assert "as it was" in raised.value.safe and raised.value.next_step


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.iterdir()
    }


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path, stored_of(FakeKeyturn()))
    owner = file.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(CredentialsFileError, match="another user"):
        file.read()


def test_a_missing_file_is_told_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NoCredentialsFile, match="keyturn agent register"):
        CredentialsFile(tmp_path / "no" / "agent.json").read()


@pytest.mark.parametrize(
    ("call", "number", "reason"),
    [
        ("open", 13, "Permission denied"),
        ("open", 30, "Read-only file system"),
        ("write", 28, "No space left on device"),
        ("write", 122, "Disk quota exceeded"),
        ("fsync", 5, "Input/output error"),
        ("rename", 5, "Input/output error"),
        ("close", 5, "Input/output error"),
    ],
)
def test_a_write_that_fails_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: str
) -> None:
    file = file_of(tmp_path, stored_of(FakeKeyturn()))
    before = snapshot(tmp_path)
    real = getattr(os, call)

    def faulty(*arguments: Any, **_: Any) -> Any:
        if call == "close":
            real(*arguments)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as faults:
        faults.setattr(os, call, faulty)
        with pytest.raises(CredentialsFileError, match=reason):
            file.write(stored_of(FakeKeyturn()))
    assert snapshot(tmp_path) == before


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path, stored_of(FakeKeyturn()))
    real = os.write
    monkeypatch.setattr(os, "write", lambda opened, text: real(opened, text[:7]))
    wanted = stored_of(FakeKeyturn())
    file.write(wanted)
    assert file.path.read_bytes() == encode(wanted)


def test_a_write_is_fsync_then_rename_then_fsync_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(tmp_path, stored_of(FakeKeyturn()))
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(opened: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(opened).st_mode) else "file")
        fsync(opened)

    def noted_rename(*paths: Path) -> None:
        calls.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    file.write(stored_of(FakeKeyturn()))
    assert calls == ["file", "rename", "directory"]
    calls.clear()
    file.read()
    assert calls == ["directory"]


def test_the_file_and_its_lock_are_for_one_user_only(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "new" / "deep" / "agent.json")
    file.make_directory()
    lock = file.lock()
    assert lock.try_acquire()
    file.write(stored_of(FakeKeyturn()))
    lock.release()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert lock.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    file = file_of(tmp_path, stored_of(FakeKeyturn()))
    (tmp_path / ".agent.json.0123456789abcdef.tmp").write_text("half")
    (tmp_path / ".other.json.0123456789abcdef.tmp").write_text("of another file")
    file.write(stored_of(FakeKeyturn()))
    assert {path.name for path in tmp_path.iterdir()} == {
        "agent.json",
        ".other.json.0123456789abcdef.tmp",
    }


CONTENTS = {
    "an agent": lambda: stored_of(FakeKeyturn()),
    "a rotation": lambda: Stored(
        "https://x.example", stored_of(FakeKeyturn()).holder, Rotation(IdempotencyKey.new())
    ),
    "a registration": lambda: Stored(
        "http://[::1]:8787", None, Registration(IdempotencyKey.new(), "näme", None)
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_written_is_what_is_read(tmp_path: Path, content: str) -> None:
    file = CredentialsFile(tmp_path / "agent.json")
    wanted = CONTENTS[content]()
    file.write(wanted)
    assert encode(file.read()) == encode(wanted)
    assert file.read().has_key_of(wanted)


@pytest.mark.parametrize("prefix", ["sk_live", "acme", "acme_test_2", "x_ak_y"])
def test_a_prefix_is_the_installations_to_choose(tmp_path: Path, prefix: str) -> None:
    fake = FakeKeyturn(
        key=credential(Kind.API_KEY, prefix), secret=credential(Kind.ROTATION_SECRET, prefix)
    )
    holder = file_of(tmp_path, stored_of(fake)).read().holder
    assert holder is not None and holder.api_key.reveal() == fake.key
