"""`keyturn migrate --to`: from files to PostgreSQL, in steps that a crash may come between.

Until the last but one the service is in the original, then for a moment nowhere, then in the
copy. What was interrupted is done again, and ends the same.
"""

import asyncio
import contextlib
import os
import secrets
import time
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyturn.actions.guard_move import ServedElsewhere, arrive
from keyturn.actions.record_audit import local_entry
from keyturn.core.audit_trail import Action
from keyturn.core.errors import Unavailable
from keyturn.installation import (
    LOST_COMMIT_EXIT,
    UnusableInstallation,
    database_file,
    open_service,
    open_stores,
    require_driver,
)
from keyturn.settings import POSTGRES, Settings
from keyturn.storage.original import Original, held
from keyturn.storage.sqlite_file import limits_database
from keyturn.storage.store import UnusableDatabase

if TYPE_CHECKING:
    from keyturn.storage.moving import Contents, Copy


def move(settings: Settings, url: str) -> None:
    """Copy the databases to PostgreSQL, prove the copy, and let the service be there.

    Raises:
        UnusableDatabase: it could not be done; the message says why.
        UnusableInstallation: the original can't be opened.
    """
    if not url.startswith(POSTGRES):
        raise UnusableDatabase("--to must be postgresql://…")
    require_driver()
    from keyturn.storage.moving import Copy, filled  # noqa: PLC0415

    credentials, limits = database_file(settings), limits_database(settings.limits_path)
    if not credentials.path.exists():
        raise UnusableDatabase(f"{credentials.path} is not there.")
    _check_original(settings)
    with held(credentials, limits) as original, contextlib.closing(Copy(url)) as copy:
        left_by, there = original.move, copy.state()
        if left_by and there and (there.installation, there.move) == (original.id, None):
            click.echo(f"{credentials.path} was moved already: {copy.place}.")
            return
        if left_by and (there is None or there.move not in (left_by, filled(left_by))):
            raise UnusableDatabase(f"{credentials.path} was moved already: {original.moved_to}.")
        number = left_by or secrets.token_hex(16)
        click.echo(f"Moving {credentials.path} to PostgreSQL: {copy.place}.")
        _copy_and_prove(original, copy, number)
        if left_by is None:
            original.leave(number, copy.place)
        _let_arrive(settings.model_copy(update={"database": url, "fence": None}), filled(number))
    _tell_what_next(settings, credentials.path)


def _check_original(settings: Settings) -> None:
    """Hold it against its fence and the server keys, and bring it up to date, as a start does."""

    async def open_once() -> None:
        async with open_service(settings, lambda: os._exit(LOST_COMMIT_EXIT)):
            pass

    try:
        asyncio.run(open_once())
    except UnusableInstallation as error:
        # Where a move was interrupted it goes on.
        if not isinstance(error.__cause__, ServedElsewhere):
            raise


def _copy_and_prove(original: Original, copy: "Copy", number: str) -> None:
    copy.prepare(original.id, number)
    read = copy.fill(original, number, partial(_show, "copied"))
    for table, contents in copy.contents(original):
        if contents != read[table]:
            raise UnusableDatabase(
                f"{table} is not the same in PostgreSQL: {contents.rows} rows, sha256 "
                f"{contents.sha256}, and {read[table].rows} rows, sha256 {read[table].sha256} "
                "were copied. The original is as it was, and the copy is not used. Find out what "
                "changes rows there, and run it again."
            )
        _show("proved", table, contents)


def _show(what: str, table: str, contents: "Contents") -> None:
    click.echo(f"  {what} {table:<12}{contents.rows:>10} rows  sha256 {contents.sha256[:16]}…")


def _let_arrive(settings: Settings, mark: str) -> None:
    now, entry_id = time.time_ns() // 1_000_000, str(uuid.uuid4())
    moved = {"from": "sqlite", "to": "postgresql"}
    entry = local_entry(Action.STORE_MOVED, id=entry_id, at=now, **moved)
    try:
        with open_stores(settings, lambda: os._exit(LOST_COMMIT_EXIT)) as (store, *_):
            asyncio.run(arrive(store, mark, entry))
    except (ServedElsewhere, Unavailable, UnusableInstallation) as error:
        raise UnusableDatabase(
            f"The copy is complete, but could not be told so ({error}): run it again."
        ) from error


def _tell_what_next(settings: Settings, path: Path) -> None:
    keys = "" if settings.server_key else f", which are in {settings.server_key_path}"
    click.echo("Every table was read back from PostgreSQL, and is the same.")
    click.echo(f"{path} is not used any more: a start on it is refused.")
    click.echo("Start every server with KEYTURN_DATABASE set to the URL that you gave to --to,")
    click.echo(f"and with the same server keys in KEYTURN_SERVER_KEY{keys}.")
    if settings.fence:
        click.echo("Take KEYTURN_FENCE away: it is for a database in a file.")
