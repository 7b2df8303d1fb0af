"""`keyturn backup`."""

from pathlib import Path

import click

from keyturn.cli.options import settings_options
from keyturn.installation import UnusableInstallation, database_file
from keyturn.settings import Settings
from keyturn.storage.sqlite_backup import back_up
from keyturn.storage.store import UnusableDatabase


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options()
def backup(settings: Settings, file: Path) -> None:
    """Copy the database to a new FILE, while the service runs. Server keys are not in it."""
    try:
        back_up(database_file(settings), file)
    except (UnusableDatabase, UnusableInstallation) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{file}: {file.stat().st_size} bytes. Keep the server keys elsewhere.")
