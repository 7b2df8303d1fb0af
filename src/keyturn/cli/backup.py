"""`keyturn backup`."""

from pathlib import Path

import click

from keyturn.cli.options import settings_options
from keyturn.settings import Settings
from keyturn.storage.sqlite_backup import back_up
from keyturn.storage.sqlite_file import UnusableDatabase, credentials_database


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options()
def backup(settings: Settings, file: Path) -> None:
    """Copy the database to a new FILE, while the service runs. Server keys are not in it."""
    try:
        back_up(credentials_database(settings.database_path), file)
    except UnusableDatabase as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{file}: {file.stat().st_size} bytes. Keep the server keys elsewhere.")
