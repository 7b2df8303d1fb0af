"""What may be left of a folder: all that was synced, and any part of the rest."""

import itertools
import random
from pathlib import Path

import pytest

from .disk import Image, Naming, Operation, Record, Sync, Truncate, Write, power_cuts

FILE = 0
NAMED: list[Operation] = [Naming({"file": FILE}), Sync(None, 1)]


def left(*operations: Operation) -> list[Image]:
    """All that a cut after these operations may leave."""
    cuts = power_cuts(operations, {len(operations)}, random.Random(1), 200)
    return [cut.image for cut in cuts]


def contents(*operations: Operation) -> set[bytes]:
    return {image["file"] for image in left(*NAMED, *operations)}


def test_what_is_synced_is_always_there() -> None:
    assert contents(Write(FILE, 0, b"kept"), Sync(FILE, 3)) == {b"kept"}


def test_what_is_not_synced_may_be_there_or_not_or_only_as_growth() -> None:
    assert contents(Write(FILE, 0, b"new")) == {b"", b"new", bytes(3)}


def test_a_sync_keeps_only_what_was_done_before_it_began() -> None:
    assert contents(Write(FILE, 0, b"a"), Write(FILE, 1, b"b"), Sync(FILE, 3)) >= {b"a", b"ab"}


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    assert b"\0b" in contents(Write(FILE, 0, b"a"), Write(FILE, 1, b"b"))


def test_a_write_is_torn_at_sectors_only() -> None:
    found = contents(Write(FILE, 0, bytes(1100)), Sync(FILE, 3), Write(FILE, 100, b"x" * 1000))
    halves = {bytes(100) + b"x" * 412 + bytes(588), bytes(512) + b"x" * 588}
    borders = (0, 100, 512, 1024, 1100)
    assert halves <= found
    for content in found:
        for begin, end in itertools.pairwise(borders):
            assert len(set(content[begin:end])) == 1


def test_a_file_may_still_have_what_it_was_truncated_of() -> None:
    found = contents(Write(FILE, 0, b"long"), Sync(FILE, 3), Truncate(FILE, 1))
    assert found == {b"long", b"l"}


def test_a_synced_file_may_be_missing_where_its_folder_is_not_synced() -> None:
    images = left(Write(FILE, 0, b"kept"), Naming({"file": FILE}), Sync(FILE, 2))
    assert {} in images and {"file": b"kept"} in images


def test_a_rename_is_done_wholly_or_not_at_all() -> None:
    images = left(*NAMED, Naming({"file": None, "moved": FILE}))
    assert {tuple(image) for image in images} == {("file",), ("moved",)}


def test_what_a_folder_holds_at_first_is_durable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    record = Record(tmp_path)
    images = [
        cut.image for cut in power_cuts(record.operations, record.moments, random.Random(1), 1)
    ]
    assert images == [{"file": b"old"}] * len(images) != []


def test_a_change_that_nobody_noted_is_an_error(tmp_path: Path) -> None:
    record = Record(tmp_path)
    (tmp_path / "file").write_bytes(b"unseen")
    with pytest.raises(AssertionError, match="does not explain file"):
        record.check()
