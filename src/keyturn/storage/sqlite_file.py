"""Opening a SQLite file: the versions refused, the settings, the migrations, the errors."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import apsw

from keyturn.core.errors import Unavailable
from keyturn.storage import migrations
from keyturn.storage.store import UnusableDatabase

READ_BUSY_MILLISECONDS = 1000
WRITE_BUSY_MILLISECONDS = 3000
WAL_MODE_TRIES = 60
WAL_MODE_PAUSE = 0.05
RESTORING = "-restoring"
"""How a copy is called that is about to be put in its database's place."""

# The store can't answer; any other error of SQLite's is a defect of ours.
OUT_OF_REACH = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.ProtocolError,
)


_FSYNC_FAILURES = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)


@dataclass(frozen=True, slots=True)
class Database:
    """One SQLite file: where, its migrations and statements, and how durable a commit is."""

    path: Path
    application_id: int
    migrations: str
    queries: str
    synchronous: Literal["FULL", "NORMAL"]


def credentials_database(path: Path) -> Database:
    """The agents, tokens and trail: an acknowledged change survives a power cut."""
    return Database(path, 0x4B74726E, "sqlite", "queries.sql", "FULL")


def limits_database(path: Path) -> Database:
    """Attempts, and refusals on their way to the trail: they survive a crash of the process."""
    return Database(path, 0x4B746C6D, "sqlite_limits", "limits.sql", "NORMAL")


def affected_by_wal_reset(version: str) -> bool:
    """Whether this SQLite can corrupt a WAL database that several connections write.

    The "WAL-reset" bug: 3.7.0 to 3.51.2, see https://sqlite.org/wal.html#walresetbug.
    """
    return (3, 7, 0) <= tuple(int(part) for part in version.split(".")[:3]) < (3, 51, 3)


def connect(database: Database, busy_milliseconds: int = READ_BUSY_MILLISECONDS) -> apsw.Connection:
    """A connection with our settings to a database that exists.

    Raises:
        apsw.Error: it can't be opened.
    """
    connection = apsw.Connection(str(database.path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(busy_milliseconds)
    connection.execute(f"PRAGMA synchronous = {database.synchronous}")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def prepare(database: Database) -> int:
    """Make the database where there is none, bring its schema up to date; its version.

    Raises:
        UnusableDatabase: SQLite is an affected version, the file is not ours, is damaged, is
            newer than this program, or can't be opened.
    """
    version = apsw.sqlite_lib_version()
    if affected_by_wal_reset(version):
        raise UnusableDatabase(
            f"SQLite {version} can corrupt databases in WAL mode: "
            "install an apsw that carries 3.51.3 or later."
        )
    try:
        _create_private(database.path)
        _refuse_foreign(database)
        _enter_wal_mode(database)
        with contextlib.closing(connect(database, WRITE_BUSY_MILLISECONDS)) as connection:
            return _migrate(connection, database)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise UnusableDatabase(
            f"{database.path} is damaged or not a database ({error}): restore it from a backup."
        ) from error
    except (apsw.Error, OSError) as error:
        raise UnusableDatabase(f"{database.path} can't be opened: {error}.") from error


class _UnavailableOnFailure:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OUT_OF_REACH):
            raise Unavailable(f"{type(error).__name__}: {error}") from error


unavailable_on_failure = _UnavailableOnFailure()
"""A context that turns SQLite's failures into `Unavailable`; defects pass as they are."""


def fsync_failed(error: apsw.Error) -> bool:
    """Whether nobody knows any more what is on the disk: a second fsync may claim success."""
    return getattr(error, "extendedresult", 0) in _FSYNC_FAILURES


def is_ours(connection: apsw.Connection, database: Database) -> bool:
    """Whether it is a database of this kind."""
    return bool(connection.pragma("application_id") == database.application_id)


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    left_alone = path.with_name(f"{path.name}-wal").exists()
    restoring = path.with_name(f"{path.name}{RESTORING}").exists()
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if left_alone or restoring:
            path.unlink()
        if restoring:
            raise UnusableDatabase(f"{path} is gone: a restore was interrupted, run it again.")
        if left_alone:
            raise UnusableDatabase(f"{path} is gone, and its -wal is there: put it back.")


def _enter_wal_mode(database: Database) -> None:
    """Once for the file, which remembers it."""
    with contextlib.closing(connect(database)) as connection:
        for _ in range(WAL_MODE_TRIES):
            # Where another process does the same, SQLite gives up at once instead of waiting.
            with contextlib.suppress(apsw.BusyError):
                if connection.execute("PRAGMA journal_mode = WAL").get == "wal":
                    return
            time.sleep(WAL_MODE_PAUSE)
    raise UnusableDatabase(f"{database.path} can't be in WAL mode: is it on a local disk?")


def _migrate(connection: apsw.Connection, database: Database) -> int:
    scripts = migrations.scripts(database.migrations)
    connection.execute("BEGIN EXCLUSIVE")
    current = int(connection.pragma("user_version"))
    if current > len(scripts):
        raise UnusableDatabase(
            f"{database.path} has schema {current} and this Keyturn knows {len(scripts)}: "
            "install the version that wrote it, or a later one."
        )
    for script in scripts[current:]:
        connection.execute(script)
    connection.execute(f"PRAGMA application_id = {database.application_id}")
    connection.execute(f"PRAGMA user_version = {len(scripts)}")
    connection.execute("COMMIT")
    return len(scripts)


def _refuse_foreign(database: Database) -> None:
    """Before anything is written: another program's database must stay as it is."""
    try:
        ours = _is_ours_or_empty(database, apsw.SQLITE_OPEN_READONLY)
    except apsw.ReadOnlyError:
        # A crash has interrupted a change (of ours: the first start). It must first be undone,
        # as any program does that opens the database, and a reader can't.
        ours = _is_ours_or_empty(database, apsw.SQLITE_OPEN_READWRITE)
    if not ours:
        raise UnusableDatabase(f"{database.path} is another kind of database.")


def _is_ours_or_empty(database: Database, flags: int) -> bool:
    with contextlib.closing(apsw.Connection(str(database.path), flags=flags)) as connection:
        connection.set_busy_timeout(WRITE_BUSY_MILLISECONDS)
        connection.execute("BEGIN")  # Both are read of one moment.
        ours = is_ours(connection, database)
        return ours or not connection.execute("SELECT count(*) FROM sqlite_schema").get
