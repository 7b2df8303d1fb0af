"""The server keys on disk: a 0600 file in the data directory, one key a line, the first current."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from keyturn.core.keyed_hash import InvalidServerKey, ServerKey, parse_server_keys
from keyturn.storage.durable import sync_directory


def read_server_keys(path: Path) -> list[ServerKey]:
    """The keys of the file; none where there is no file.

    Raises:
        InvalidServerKey: it can't be read, others may read it, or what it holds is not keys.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise InvalidServerKey(
                f"Others can read it (mode {mode:04o}): chmod 600 it. If somebody may have, "
                "see docs/server-key-leak.md."
            )
        keys = parse_server_keys(path.read_text("ascii"))
    except FileNotFoundError:
        if path.is_symlink():
            raise InvalidServerKey("It is a link to a file that is not there.") from None
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidServerKey(f"It can't be read: {error}.") from error
    if not keys:
        raise InvalidServerKey("It holds no key.")
    return keys


def make_server_key_file(path: Path) -> list[ServerKey]:
    """Make the file with one new key, durably; another process may do the same at once.

    Raises:
        InvalidServerKey: it can't be written.
    """
    key = ServerKey(f"k{secrets.token_hex(4)}", secrets.token_bytes(32))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.encode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise InvalidServerKey(f"It can't be written: {error}.") from error
    return read_server_keys(path)
