"""`keyturn migrate`."""

import click

from keyturn.cli.moving import move
from keyturn.cli.options import settings_options
from keyturn.core.errors import Unavailable
from keyturn.installation import UnusableInstallation, prepared_databases
from keyturn.settings import Settings
from keyturn.storage.store import UnusableDatabase


@click.command()
@click.option(
    "--to", metavar="URL", help="Move the database files to this PostgreSQL, while no server runs."
)
@settings_options()
def migrate(settings: Settings, to: str | None) -> None:
    """Bring the databases' schemas up to date. `serve` does the same when it starts."""
    try:
        if to is not None:
            move(settings, to)
            return
        for database, version in prepared_databases(settings):
            click.echo(f"{database.name}: schema {version}")
    except (Unavailable, UnusableDatabase, UnusableInstallation) as error:
        raise click.ClickException(str(error)) from None
