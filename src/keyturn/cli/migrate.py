"""`keyturn migrate`."""

import click

from keyturn.cli.options import settings_options
from keyturn.installation import UnusableInstallation, prepared_databases
from keyturn.settings import Settings


@click.command()
@settings_options()
def migrate(settings: Settings) -> None:
    """Bring the databases' schemas up to date. `serve` does the same when it starts."""
    try:
        for database, version in prepared_databases(settings):
            click.echo(f"{database.name}: schema {version}")
    except UnusableInstallation as error:
        raise click.ClickException(str(error)) from None
