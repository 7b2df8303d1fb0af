"""The floor under every durable write: what the disk takes to promise four kilobytes."""

import os
import time
from pathlib import Path

BLOCK = os.urandom(4096)
RING = 1000
"""Blocks in the file that is overwritten: about what SQLite's log holds between checkpoints."""


def appended(folder: Path, seconds: float) -> list[int]:
    """Append 4 KiB and `fdatasync`, again and again; how long each took, in nanoseconds."""
    return _synced(folder / "floor-append", seconds, ring=None)


def overwritten(folder: Path, seconds: float) -> list[int]:
    """The same over blocks that the file already has, as in a write-ahead log once it has grown."""
    path = folder / "floor-overwrite"
    if not path.exists():
        path.write_bytes(BLOCK * RING)
    return _synced(path, seconds, ring=RING)


def _synced(path: Path, seconds: float, *, ring: int | None) -> list[int]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | (0 if ring else os.O_TRUNC), 0o600)
    took: list[int] = []
    try:
        os.fsync(handle)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter_ns()
            offset = len(BLOCK) * (len(took) % ring if ring else len(took))
            os.pwrite(handle, BLOCK, offset)
            os.fdatasync(handle)
            took.append(time.perf_counter_ns() - start)
    finally:
        os.close(handle)
    return took
