"""The command and its subcommands."""

import click

from keyturn import __version__
from keyturn.cli.developer import developer
from keyturn.cli.migrate import migrate
from keyturn.cli.serve import serve
from keyturn.cli.service import service


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keyturn")
def main() -> None:
    """API keys for AI agents that rotate themselves."""


main.add_command(serve)
main.add_command(developer)
main.add_command(service)
main.add_command(migrate)
