"""Runs an action on the installation itself, beside a server that may be running."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from keyturn.actions.service import Service
from keyturn.core.errors import KeyturnError
from keyturn.installation import LOST_COMMIT_EXIT, UnusableInstallation, open_service
from keyturn.settings import Settings

Result = TypeVar("Result")


def run_locally(settings: Settings, action: Callable[[Service], Awaitable[Result]]) -> Result:
    """The action's result.

    Raises:
        click.ClickException: it was refused, or the installation can't be opened.
    """

    async def run() -> Result:
        async with open_service(settings, lambda: os._exit(LOST_COMMIT_EXIT)) as service:
            return await action(service)

    try:
        return asyncio.run(run())
    except (UnusableInstallation, KeyturnError) as error:
        detail = error.detail if isinstance(error, KeyturnError) else str(error)
        raise click.ClickException(detail) from None
