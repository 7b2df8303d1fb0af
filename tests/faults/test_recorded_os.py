"""A file that is replaced safely survives every power cut; one that is not is caught."""

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .disk import Record, power_cuts
from .recorded_os import recorded_os

NAME = "credentials"
VERSIONS = [bytes([65 + number]) * 1500 for number in range(4)]
SAMPLES = 100

Replace = Callable[[Path, bytes], None]


def replace(path: Path, content: bytes, *, file_synced: bool = True, made: bool = True) -> None:
    """What the agents' credentials file does, or all of it but one sync."""
    temporary = path.with_name(".new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(descriptor, content[:700])
    os.write(descriptor, content[700:])
    if file_synced:
        os.fsync(descriptor)
    os.close(descriptor)
    os.rename(temporary, path)  # noqa: PTH104
    if made:
        sync_folder(path.parent)


def replace_through_a_buffer(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file)
    Path(temporary).replace(path)
    sync_folder(path.parent)


def without_sync_of_the_file(path: Path, content: bytes) -> None:
    replace(path, content, file_synced=False)


def without_sync_of_the_folder(path: Path, content: bytes) -> None:
    replace(path, content, made=False)


def in_place(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)
    sync_folder(path.parent)


def removed_first(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    replace(path, content)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def wrong(folder: Path, replaces: Replace) -> set[str]:
    """What is wrong after some power cut while the file is replaced a few times."""
    path = folder / NAME
    path.write_bytes(VERSIONS[0])
    record = Record(folder)
    with recorded_os(record):
        for number, content in enumerate(VERSIONS[1:], start=1):
            replaces(path, content)
            record.acknowledge(number)
    found = set()
    for cut in power_cuts(record.operations, record.moments, random.Random(1), SAMPLES):
        content = cut.image.get(NAME, b"")
        told = max(cut.acknowledged, default=0)
        if content not in VERSIONS:
            found.add("damaged")
        elif VERSIONS.index(content) < told:
            found.add("lost")
        elif VERSIONS.index(content) > told + 1:
            found.add("too new")
    assert found_at_the_end(record) == VERSIONS[-1]
    return found


def found_at_the_end(record: Record) -> bytes:
    record.check()
    return record.now.image()[NAME]


@pytest.mark.parametrize("replaces", [replace, replace_through_a_buffer])
def test_a_file_that_is_replaced_and_synced_is_always_whole(
    replaces: Replace, tmp_path: Path
) -> None:
    assert wrong(tmp_path, replaces) == set()


@pytest.mark.parametrize(
    ("replaces", "what"),
    [
        (without_sync_of_the_file, {"damaged"}),
        (without_sync_of_the_folder, {"lost"}),
        (in_place, {"damaged"}),
        (removed_first, {"damaged"}),
    ],
)
def test_a_step_that_is_left_out_is_caught(
    replaces: Replace, what: set[str], tmp_path: Path
) -> None:
    assert wrong(tmp_path, replaces) == what
