"""Makes files outlive a power cut."""

import os
import secrets
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


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in the place of any that was there.

    Raises:
        OSError
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    temporary.replace(path)
