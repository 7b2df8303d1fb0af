"""`keyturn developer`."""

import json

import click

from keyturn.actions.invite_developer import invite_locally
from keyturn.actions.manage_developers import create_developer_locally
from keyturn.cli.local import run_locally
from keyturn.cli.options import settings_options
from keyturn.settings import Settings


@click.group()
def developer() -> None:
    """Developers, who own and govern agents."""


@developer.command()
@click.option("--email", required=True, help="The developer's email address.")
@click.option("--operator", is_flag=True, help="May govern every agent and developer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options()
def create(settings: Settings, email: str, operator: bool, as_json: bool) -> None:
    """Make a developer, and print their first token, which is shown this once."""
    made = run_locally(
        settings, lambda service: create_developer_locally(service, email, operator=operator)
    )
    shown = {"developerId": made.developer.id, "token": made.token.reveal()}
    if as_json:
        click.echo(json.dumps(shown))
    else:
        click.echo(f"developerId  {shown['developerId']}\ntoken        {shown['token']}")
        click.echo("Save the token: it will not be shown again.", err=True)


@developer.command()
@click.option("--email", required=True, help="The developer's email address.")
@click.option("--operator", is_flag=True, help="Make a new developer an operator.")
@settings_options()
def invite(settings: Settings, email: str, operator: bool) -> None:
    """Print a code with which a developer, new or not, sets a password for the dashboard."""
    invited = run_locally(
        settings, lambda service: invite_locally(service, email, operator=operator)
    )
    click.echo(invited.code.reveal())
    click.echo(
        f"Type it at {settings.public_url}/dashboard/join within 7 days. "
        "It will not be shown again.",
        err=True,
    )
