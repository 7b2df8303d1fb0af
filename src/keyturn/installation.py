"""Opens an installation: prepares its files, finds its server keys, builds its `Service`."""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import structlog

from keyturn import metrics
from keyturn.actions.guard_fence import UnusableFence, guard_fence
from keyturn.actions.guard_move import ServedElsewhere
from keyturn.actions.guard_server_keys import (
    MissingServerKey,
    check_server_keys,
    register_server_keys,
)
from keyturn.actions.service import Policy, Service
from keyturn.core.audit_trail import Entry
from keyturn.core.keyed_hash import InvalidServerKey, Keyring, ServerKey, parse_server_keys
from keyturn.core.rate_limit import Limit
from keyturn.server_key_file import make_server_key_file, read_server_keys
from keyturn.settings import Settings
from keyturn.storage.durable import sync_directory
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import (
    Database,
    credentials_database,
    limits_database,
    prepare,
)
from keyturn.storage.store import Store, UnusableDatabase

_log = structlog.get_logger()

HOUR_SECONDS = 3600
LOST_COMMIT_EXIT = 70
"""How a process ends after an fsync that failed (EX_SOFTWARE)."""


class UnusableInstallation(Exception):
    """The installation can't be opened; the message says why and what to do."""


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings, on_lost_commit: Callable[[], None]
) -> AsyncIterator[Service]:
    """The installation's service, its databases and keys made where there are none.

    Raises:
        UnusableInstallation
    """
    with open_stores(settings, on_lost_commit) as (store, limits, fence):
        try:
            await guard_fence(store, fence)
            service = await _service(settings, store, limits)
            await register_server_keys(service)
        except (MissingServerKey, ServedElsewhere, UnusableFence) as error:
            raise UnusableInstallation(str(error)) from error
        yield service


class ClosableStore(Store, Protocol):
    """A store, until it is closed."""

    def close(self) -> None:
        """Finish what waits and close every connection."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One database of an installation: how people name it, and how it is made and opened."""

    name: str
    prepare: Callable[[], int]
    """Brings the schema up to date; its version. Raises `UnusableDatabase`."""
    open: Callable[[Callable[[], None], FenceFile | None], ClosableStore]


@contextlib.asynccontextmanager
async def open_copy(
    settings: Settings, copy: Database, on_lost_commit: Callable[[], None]
) -> AsyncIterator[Service]:
    """A copy of the database alone, its schema up to date and its server keys there.

    Raises:
        UnusableInstallation
    """
    try:
        prepare(copy)
    except UnusableDatabase as error:
        raise UnusableInstallation(str(error)) from error
    with contextlib.closing(SqliteStore(copy, on_lost_commit)) as store:
        yield await _service(settings, store, store)


@contextlib.contextmanager
def open_stores(
    settings: Settings, on_lost_commit: Callable[[], None]
) -> Iterator[tuple[Store, Store, FenceFile | None]]:
    """The stores of the credentials and of the limits, their schemas up to date, and the fence.

    Raises:
        UnusableInstallation
    """
    databases = prepared_databases(settings)
    with contextlib.ExitStack() as opened:
        fence = FenceFile(settings.fence) if settings.fence else None
        store, limits = (
            database.open(on_lost_commit, marks)
            for (database, _), marks in zip(databases, (fence, None), strict=True)
        )
        opened.callback(limits.close)
        if fence:
            opened.callback(fence.close)
        opened.callback(store.close)
        yield store, limits, fence


async def _service(settings: Settings, store: Store, limits: Store) -> Service:
    return Service(
        store=store,
        limits=limits,
        keyring=await find_keyring(settings, store),
        policy=_policy(settings),
        now=lambda: time.time_ns() // 1_000_000,
        random_bytes=os.urandom,
        report_reuse=_report_reuse,
    )


def prepared_databases(settings: Settings) -> list[tuple[Kept, int]]:
    """The databases of the credentials and of the limits, each with its schema, up to date.

    Raises:
        UnusableInstallation
    """
    try:
        make_data_dir(settings.data_dir)
        databases = _on_postgres(settings) if settings.postgres_url else _in_files(settings)
        return [(database, database.prepare()) for database in databases]
    except (UnusableDatabase, OSError) as error:
        raise UnusableInstallation(str(error)) from error


def database_file(settings: Settings) -> Database:
    """The file of the credentials and the trail.

    Raises:
        UnusableInstallation: they are on PostgreSQL.
    """
    if settings.postgres_url:
        raise UnusableInstallation(
            "This is for a database in a file: PostgreSQL has tools of its own, such as pg_dump."
        )
    return credentials_database(settings.database_path)


def _in_files(settings: Settings) -> list[Kept]:
    return [
        Kept(str(file.path), partial(prepare, file), partial(SqliteStore, file))
        for file in (
            credentials_database(settings.database_path),
            limits_database(settings.limits_path),
        )
    ]


def _on_postgres(settings: Settings) -> list[Kept]:
    url = settings.postgres_url or ""
    if settings.fence:
        raise UnusableDatabase("KEYTURN_FENCE guards a database in a file, not one on PostgreSQL.")
    require_driver()
    from keyturn.storage import postgres, postgres_server  # noqa: PLC0415

    def opened(
        database: postgres_server.Database, on_lost_commit: Callable[[], None], _fence: object
    ) -> ClosableStore:
        return postgres.PostgresStore(database, on_lost_commit)

    return [
        Kept(
            f"PostgreSQL, {database.name}",
            partial(postgres_server.prepare, database),
            partial(opened, database),
        )
        for database in (
            postgres_server.credentials_database(url),
            postgres_server.limits_database(url),
        )
    ]


def require_driver() -> None:
    """Make sure of an extra of its own, which an installation on SQLite need not have.

    Raises:
        UnusableDatabase: PostgreSQL's driver is not installed.
    """
    if find_spec("psycopg") is None:
        raise UnusableDatabase(
            "A database on PostgreSQL needs its driver: install 'keyturn[server,postgres]'."
        )


def make_data_dir(folder: Path) -> None:
    """Make the data directory where there is none, certain to outlive a power cut.

    Raises:
        OSError: it can't be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        sync_directory(path.parent)


async def find_keyring(settings: Settings, store: Store) -> Keyring:
    """The server keys of the environment or the file, held against what the database needs.

    Raises:
        UnusableInstallation
    """
    in_environment = settings.server_key is not None
    place = "KEYTURN_SERVER_KEY" if in_environment else settings.server_key_path
    try:
        keys = configured_server_keys(settings)
        await check_server_keys(store, keys)
        if not keys and not in_environment:
            keys = make_server_key_file(settings.server_key_path)
        return Keyring(keys)
    except (InvalidServerKey, MissingServerKey) as error:
        raise UnusableInstallation(f"{place}: {error}") from error


def configured_server_keys(settings: Settings) -> list[ServerKey]:
    """The server keys of the environment or the file; none where there is no file.

    Raises:
        InvalidServerKey
    """
    if settings.server_key is not None:
        return parse_server_keys(settings.server_key.get_secret_value())
    return read_server_keys(settings.server_key_path)


def _report_reuse(entry: Entry) -> None:
    severity = entry.details["severity"]
    metrics.REUSES.labels(severity).inc(entry.details.get("count", 1))
    if severity == "critical":
        _log.error("a retired pair has come back", agent_id=entry.agent_id, address=entry.address)


def _policy(settings: Settings) -> Policy:
    return Policy(
        prefix=settings.prefix,
        registration=settings.registration,
        rotation_limit=Limit("rotation", settings.rotation_limit, settings.rotation_window),
        registration_limit=Limit("registration", settings.registration_limit, HOUR_SECONDS),
        registration_total=Limit("registration-total", settings.registration_total, HOUR_SECONDS),
        audit_retention_days=settings.audit_retention_days,
        retired_retention_days=settings.retired_retention_days,
    )
