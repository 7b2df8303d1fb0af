"""Copies of a SQLite database: made while it is in use, put in its place while it is not."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import apsw

from keyturn.storage.durable import sync_directory, sync_file
from keyturn.storage.sqlite_file import RESTORING, Database, connect, is_ours
from keyturn.storage.store import UnusableDatabase

# https://sqlite.org/src/file/src/os.h: whoever has a database in WAL mode open holds a shared
# lock on these bytes, and asks for one before anything else.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510


def back_up(database: Database, destination: Path) -> None:
    """Write the database, as it is at one moment, to a new file that only its user may read.

    Others may use the database meanwhile. The file is durable, and has been checked.

    Raises:
        UnusableDatabase: there is no such database, it is damaged, or the file can't be written
            or is there already.
    """
    if not database.path.exists():
        raise UnusableDatabase(f"{database.path} is not there.")
    try:
        os.close(os.open(destination, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise UnusableDatabase(f"{destination} is there already, and stays as it is.") from None
    except OSError as error:
        raise UnusableDatabase(f"{destination} can't be written: {error.strerror}.") from None
    try:
        _copy_moment(database, destination)
    except BaseException:
        destination.unlink()
        raise


def _copy_moment(database: Database, destination: Path) -> None:
    try:
        with contextlib.closing(connect(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(destination),))
        check_whole(replace(database, path=destination))
        sync_file(destination)
        sync_directory(destination.absolute().parent)
    except (apsw.Error, OSError) as error:
        raise UnusableDatabase(f"{database.path} can't be copied: {error}.") from error


def check_whole(database: Database) -> None:
    """Make sure that it is a database of this kind, and that nothing of it is damaged.

    Raises:
        UnusableDatabase
    """
    try:
        with contextlib.closing(connect(database)) as connection:
            check_connected(connection, database)
    except apsw.Error as error:
        raise UnusableDatabase(f"{database.path} is damaged or not a database.") from error


def check_connected(connection: apsw.Connection, database: Database) -> None:
    """As `check_whole`, over a connection that is there.

    Raises:
        UnusableDatabase
        apsw.Error: it is damaged or not a database.
    """
    if not is_ours(connection, database):
        raise UnusableDatabase(f"{database.path} is another kind of database.")
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    if found != ["ok"] or list(connection.execute("PRAGMA foreign_key_check")):
        raise UnusableDatabase(f"{database.path} is damaged: {found[0]}.")


def stage(source: Path, database: Database) -> Database:
    """A copy of `source` beside the database, checked, that can be put in its place.

    A write-ahead log beside the source is part of it.

    Raises:
        UnusableDatabase: it can't be read, is damaged or is something else.
    """
    staged = replace(database, path=_beside(database.path, RESTORING))
    discard(staged)
    try:
        _copy_private(source, staged.path)
        if _beside(source, "-wal").exists():
            _copy_private(_beside(source, "-wal"), _beside(staged.path, "-wal"))
        check_whole(staged)
    except OSError as error:
        discard(staged)
        raise UnusableDatabase(f"{source} can't be copied: {error}.") from error
    except UnusableDatabase as error:
        discard(staged)
        text = str(error).replace(str(staged.path), str(source))
        raise UnusableDatabase(text) from error
    return staged


def discard(staged: Database) -> None:
    """Remove the copy."""
    for suffix in ("", "-wal", "-shm"):
        _beside(staged.path, suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def unused(database: Database) -> Iterator[Callable[[], None]]:
    """Nobody else has the database open, nor can open it, until the block ends.

    Within the block the function given makes sure of it again: to close any other descriptor of
    the file, in this process, drops the lock.

    Raises:
        UnusableDatabase: somebody has it open.
    """
    try:
        descriptor = os.open(database.path, os.O_RDWR)
    except FileNotFoundError:
        yield lambda: None
        return
    except OSError as error:
        raise UnusableDatabase(f"{database.path} can't be opened: {error.strerror}.") from None

    def lock() -> None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError:
            raise UnusableDatabase(
                f"{database.path} is in use: stop the server, and whatever else has it open."
            ) from None

    try:
        lock()
        yield lock
    finally:
        os.close(descriptor)


def put_in_place(staged: Database, database: Database, aside: Path) -> None:
    """Let the copy, which is closed, be the database; what was there is kept as `aside`.

    If this is interrupted, no start makes a new database in the gap: see `RESTORING`.

    Raises:
        UnusableDatabase: the copy is open still, or something can't be renamed.
    """
    if _beside(staged.path, "-wal").exists():
        raise UnusableDatabase(f"{staged.path} could not be completed: is there room?")
    try:
        sync_file(staged.path)
        sync_directory(database.path.absolute().parent)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                _beside(database.path, suffix).rename(_beside(aside, suffix))
        sync_directory(database.path.absolute().parent)
        staged.path.rename(database.path)
        sync_directory(database.path.absolute().parent)
    except OSError as error:
        raise UnusableDatabase(f"{database.path} can't be replaced: {error}.") from error


def _copy_private(source: Path, copy: Path) -> None:
    descriptor = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with source.open("rb") as original, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(original, file, 2**20)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
