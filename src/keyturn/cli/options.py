"""Turns the settings into flags, and what was given into settings."""

import functools
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from keyturn.settings import ENVIRONMENT_ONLY, Settings

SERVING = frozenset({"host", "port", "workers"})
"""What only `serve` takes."""


def settings_options(
    *, serving: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a flag for every setting, and hand the command one `settings` instead of them.

    A flag wins over the variable `KEYTURN_NAME`, which wins over the default.
    """
    names = [
        name
        for name in Settings.model_fields
        if name not in ENVIRONMENT_ONLY and (serving or name not in SERVING)
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            chosen = {name: given.pop(name) for name in names}
            return command(settings=_settings(chosen), **given)

        for name in reversed(names):
            field = Settings.model_fields[name]
            shown = field.default if field.default not in ("", (), None) else None
            help_text = f"{field.description} [KEYTURN_{name.upper()}]"
            if shown is not None:
                help_text += f" [default: {shown}]"
            run = click.option(f"--{name.replace('_', '-')}", name, help=help_text)(run)
        return run

    return decorate


def _settings(chosen: dict[str, Any]) -> Settings:
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise click.ClickException(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        flag = f"--{name.replace('_', '-')} / " if name not in ENVIRONMENT_ONLY else ""
        lines.append(f"{flag}KEYTURN_{name.upper()}: {problem['msg']}")
    return "\n".join(lines)
