"""`keyturn restore`."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from keyturn.actions.guard_fence import UnusableFence, fenced_marks
from keyturn.actions.guard_move import ServedElsewhere
from keyturn.actions.restore_store import restore_store
from keyturn.cli.options import settings_options
from keyturn.installation import (
    LOST_COMMIT_EXIT,
    UnusableInstallation,
    database_file,
    make_data_dir,
    open_copy,
)
from keyturn.settings import Settings
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.sqlite_backup import discard, put_in_place, stage, unused
from keyturn.storage.sqlite_file import Database
from keyturn.storage.store import UnusableDatabase


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--repair", is_flag=True, help="No FILE: retire again, in what is there.")
@click.option("--abandon-fence", is_flag=True, help="Go on without a fence that is lost.")
@settings_options()
def restore(settings: Settings, file: Path | None, repair: bool, abandon_fence: bool) -> None:
    """Let a backup FILE be the database, while no server runs. What was there is kept."""
    if repair == (file is not None):
        raise click.ClickException("Name a backup FILE, or --repair what is there.")
    try:
        database = database_file(settings)
        source = file or database.path
        make_data_dir(settings.data_dir)
        with unused(database) as make_sure:
            staged = stage(source, database)
            try:
                retired = asyncio.run(_complete(settings, staged, abandon=abandon_fence))
                make_sure()
            except (
                ServedElsewhere,
                UnusableDatabase,
                UnusableFence,
                UnusableInstallation,
            ) as error:
                discard(staged)
                text = str(error).replace(str(staged.path), str(source))
                raise click.ClickException(text) from None
            aside = _name_aside(database)
            put_in_place(staged, database, aside)
    except (UnusableDatabase, UnusableInstallation, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{database.path} is now what was in {source}.")
    if retired:
        click.echo(f"Agents, tokens and developers that the fence retired again: {retired}.")
    if abandon_fence and settings.fence:
        click.echo(f"The next start makes a new fence: move {settings.fence} away if it is there.")
    if aside.exists():
        click.echo(f"What was there before is {aside}.")


async def _complete(settings: Settings, staged: Database, *, abandon: bool) -> int:
    async with open_copy(settings, staged, lambda: os._exit(LOST_COMMIT_EXIT)) as service:
        with contextlib.ExitStack() as closing:
            fenced = None
            if not abandon:
                fence = FenceFile(settings.fence) if settings.fence else None
                if fence:
                    closing.callback(fence.close)
                fenced = await fenced_marks(service.store, fence)
            return await restore_store(service, fenced, abandon=abandon)


def _name_aside(database: Database) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return database.path.with_name(f"{database.path.name}.before-{moment}")
