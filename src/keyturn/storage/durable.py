"""Makes files outlive a power cut."""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Make what was written to it outlive a power cut.

    Raises:
        OSError
    """
    _sync(path, os.O_RDWR)


def sync_directory(folder: Path) -> None:
    """Make the names in it outlive a power cut.

    Raises:
        OSError
    """
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
