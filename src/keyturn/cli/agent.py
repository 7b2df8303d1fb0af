"""`keyturn agent`: the agent's side. Secrets go to the credentials file, never to the screen."""

import functools
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from keyturn import client
from keyturn.client import Agent, ClientError, Status
from keyturn.client.credentials import instant

EXIT_STATUS: dict[type[ClientError], int] = {
    client.InvalidInput: 2,
    client.CredentialsFileError: 3,
    client.TryAgain: 4,
    client.CredentialsRefused: 5,
    client.NeedsDeveloper: 6,
    client.Limited: 7,
    client.NotKeyturn: 8,
}
STATUS_PATIENCE = 5.0
DONE = {
    "register": "Registered. The credentials file is the only copy of the secrets.",
    "rotate": "Rotated. The old API key and the old rotation secret are dead.",
    "revoke": "Revoked. A developer can reinstate the agent.",
}
ENROLMENT_TOKEN = "KEYTURN_ENROLMENT_TOKEN"


@click.group()
def agent() -> None:
    """An agent's own credentials. They are in a file, and never on the screen."""


def _options(action: Callable[..., Status]) -> Callable[..., None]:
    """What every command takes; and prints, from what its action returns or raises."""

    @click.option(
        "--credentials",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="KEYTURN_CREDENTIALS",
        default=lambda: Path(click.get_app_dir("keyturn"), "agent.json"),
        show_default="keyturn/agent.json where your configuration is",
        help="The credentials file. [KEYTURN_CREDENTIALS]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(action)
    def run(credentials: Path, as_json: bool, **options: Any) -> None:
        try:
            status = action(credentials, **options)
        except ClientError as error:
            _fail(error, {}, as_json)
        if status.problem is not None:
            _fail(status.problem, _facts(status, credentials), as_json)
        _print(_facts(status, credentials), as_json)
        if action.__name__ in DONE:
            click.echo(DONE[action.__name__], err=True)

    return run


@agent.command()
@click.option(
    "--url",
    envvar="KEYTURN_URL",
    default="http://localhost:8787",
    show_default=True,
    help="The Keyturn server. [KEYTURN_URL]",
)
@click.option("--name", help="What the agent is called; the server makes up a name otherwise.")
@click.option(
    "--enrolment-token-file",
    type=click.File(),
    help=f"Read the enrolment token from this file (- is the standard input) and not from the "
    f"variable {ENROLMENT_TOKEN}.",
)
@click.option("--allow-http", is_flag=True, help="Let the secrets cross a network readable.")
@_options
def register(
    credentials: Path,
    url: str,
    name: str | None,
    enrolment_token_file: IO[str] | None,
    allow_http: bool,
) -> Status:
    """Register an agent, and keep its credentials in the file."""
    return Agent(credentials).register(
        url,
        name=name,
        enrolment_token=_enrolment_token(enrolment_token_file),
        allow_http=allow_http,
    )


@agent.command()
@_options
def rotate(credentials: Path) -> Status:
    """Change both credentials. Run it again after any failure: nothing is lost."""
    return Agent(credentials).rotate()


@agent.command()
@_options
def status(credentials: Path) -> Status:
    """Show the agent and its key. Without the server, what the file says."""
    return Agent(credentials, patience=STATUS_PATIENCE).status()


@agent.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_options
def revoke(credentials: Path, yes: bool) -> Status:
    """Revoke the agent, because its credentials were stolen. Only a developer can undo it."""
    if not yes:
        click.confirm("Revoke this agent? Its credentials die at once.", abort=True, err=True)
    return Agent(credentials).revoke()


def _enrolment_token(file: IO[str] | None) -> str | None:
    # Neither comes by way of an argument: other users see those.
    text: str = os.environ.get(ENROLMENT_TOKEN, "") if file is None else file.read()
    return text.strip() or None


def _facts(status: Status, credentials: Path) -> dict[str, object]:
    """What may be seen of an agent."""
    facts: dict[str, object] = {
        "agentId": status.agent_id,
        "agentName": status.agent_name,
        "url": status.url,
        "credentials": str(credentials),
        "key": status.key,
        "keyAgeDays": (datetime.now(UTC) - status.key_created_at).days,
        "keyCreatedAt": instant(status.key_created_at),
        "rotationDueAt": instant(status.rotation_due_at),
        "unfinishedRotation": status.unfinished,
    }
    if status.server is not None:
        facts |= {
            "status": status.server.status,
            "generation": status.server.generation,
            "rotationSecretConfigured": status.server.rotation_secret_configured,
            "creditBalance": status.server.credit_balance,
        }
    return facts


def _print(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, fact in facts.items():
        shown = str(fact).lower() if isinstance(fact, bool) else str(fact)
        click.echo(f"{name:<25} {shown}")


def _fail(error: ClientError, facts: dict[str, object], as_json: bool) -> NoReturn:
    """Say what is wrong, what is safe and what to do, and end with the error's exit status."""
    if as_json:
        told = {
            "code": error.code,
            "wrong": error.wrong,
            "safe": error.safe,
            "next": error.next_step,
        }
        facts = {**facts, "error": told}
    if facts:
        _print(facts, as_json)
    click.echo(f"Error: {error.wrong}\nSafe:  {error.safe}\nNext:  {error.next_step}", err=True)
    sys.exit(next(EXIT_STATUS[kind] for kind in type(error).__mro__ if kind in EXIT_STATUS))
