"""`keyturn restore`."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from keyturn.actions.restore_store import record_restored
from keyturn.cli.options import settings_options
from keyturn.installation import (
    LOST_COMMIT_EXIT,
    UnusableInstallation,
    make_data_dir,
    open_copy,
)
from keyturn.settings import Settings
from keyturn.storage.sqlite_backup import discard, put_in_place, stage, unused
from keyturn.storage.sqlite_file import Database, UnusableDatabase, credentials_database


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options()
def restore(settings: Settings, file: Path) -> None:
    """Let a backup FILE be the database, while no server runs. What was there is kept."""
    database = credentials_database(settings.database_path)
    try:
        make_data_dir(settings.data_dir)
        with unused(database) as make_sure:
            staged = stage(file, database)
            try:
                _complete(settings, staged)
                make_sure()
            except (UnusableDatabase, UnusableInstallation) as error:
                discard(staged)
                text = str(error).replace(str(staged.path), str(file))
                raise click.ClickException(text) from None
            aside = _name_aside(database)
            put_in_place(staged, database, aside)
    except (UnusableDatabase, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{database.path} is now what was in {file}.")
    if aside.exists():
        click.echo(f"What was there before is {aside}.")


def _complete(settings: Settings, staged: Database) -> None:
    with open_copy(settings, staged, lambda: os._exit(LOST_COMMIT_EXIT)) as service:
        asyncio.run(record_restored(service))


def _name_aside(database: Database) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return database.path.with_name(f"{database.path.name}.before-{moment}")
