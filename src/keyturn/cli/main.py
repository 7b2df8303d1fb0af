"""The command and its subcommands, each imported when it is wanted.

What an agent needs does not import the server, which need not be installed.
"""

import importlib
from typing import NoReturn

import click

from keyturn import __version__

SERVER_COMMANDS = ("serve", "developer", "service", "migrate", "backup", "restore")
"""In the module of their name, as is `agent`."""


class Commands(click.Group):
    """The subcommands by the names of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return ["agent", *SERVER_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = importlib.import_module(f"keyturn.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if cmd_name not in SERVER_COMMANDS or str(error.name).startswith("keyturn"):
                raise
            return _not_installed(cmd_name)
        command: click.Command = getattr(module, cmd_name)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keyturn")
def main() -> None:
    """API keys for AI agents that rotate themselves."""


def _not_installed(name: str) -> click.Command:
    def refuse(arguments: tuple[str, ...]) -> NoReturn:
        del arguments
        raise click.ClickException(f"keyturn {name} needs the server: install 'keyturn[server]'.")

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        short_help="(install 'keyturn[server]')",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
