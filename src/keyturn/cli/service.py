"""`keyturn service`."""

import json

import click

from keyturn.actions.manage_tokens import create_service_token_for_all
from keyturn.cli.local import run_locally
from keyturn.cli.options import settings_options
from keyturn.core.agent import clean_name
from keyturn.settings import Settings


@click.group()
def service() -> None:
    """Services, which check agents' keys."""


@service.command()
@click.option("--name", required=True, help="What the service is called.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options()
def create(settings: Settings, name: str, as_json: bool) -> None:
    """Make a service token for the agents of every developer. It is shown this once."""
    token = run_locally(
        settings, lambda service: create_service_token_for_all(service, clean_name(name))
    )
    if as_json:
        click.echo(json.dumps({"token": token.reveal()}))
    else:
        click.echo(f"token  {token.reveal()}")
        click.echo("Save the token: it will not be shown again.", err=True)
