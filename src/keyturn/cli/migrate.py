"""`keyturn migrate`."""

import click

from keyturn.cli.options import settings_options
from keyturn.installation import make_data_dir
from keyturn.settings import Settings
from keyturn.storage.sqlite_file import (
    UnusableDatabase,
    credentials_database,
    limits_database,
    prepare,
)


@click.command()
@settings_options()
def migrate(settings: Settings) -> None:
    """Bring the databases' schemas up to date. `serve` does the same when it starts."""
    try:
        make_data_dir(settings.data_dir)
        for database in (
            credentials_database(settings.database_path),
            limits_database(settings.limits_path),
        ):
            click.echo(f"{database.path}: schema {prepare(database)}")
    except (UnusableDatabase, OSError) as error:
        raise click.ClickException(str(error)) from None
