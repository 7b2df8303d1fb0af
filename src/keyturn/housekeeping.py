"""An installation that is open, and kept: every process that answers or checks needs this."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from keyturn import metrics
from keyturn.actions.keep_house import Housekeeping
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.service import Service
from keyturn.core.errors import Unavailable
from keyturn.installation import LOST_COMMIT_EXIT, open_service
from keyturn.logs import failure
from keyturn.settings import Settings

FAST_SECONDS = 0.5
SLOW_SECONDS = 60.0
LAST_ANSWERS_SECONDS = 1.0

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def running_service(settings: Settings) -> AsyncIterator[Service]:
    """The installation's service, whose house is kept while it is open.

    A commit that is lost to a failing disk ends the process.

    Raises:
        UnusableInstallation
    """
    async with open_service(settings, _end_process) as service:
        house = Housekeeping()
        often = (
            house.watch_server_keys,
            write_uses,
            move_refusals_to_trail,
            house.expire_receipts,
            _flush_metrics,
        )
        tasks = [
            asyncio.create_task(_repeat(FAST_SECONDS, service, *often)),
            asyncio.create_task(_repeat(SLOW_SECONDS, service, house.run)),
        ]
        try:
            yield service
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(Unavailable):
                await write_uses(service)
                await move_refusals_to_trail(service)


async def _flush_metrics(_service: Service) -> None:
    metrics.flush()


async def _repeat(
    seconds: float, service: Service, *steps: Callable[[Service], Awaitable[object]]
) -> None:
    while True:
        for step in steps:
            try:
                await step(service)
            except Unavailable as error:
                _log.warning("housekeeping waits", step=step.__name__, reason=str(error))
            except Exception as error:
                _log.error("housekeeping failed", step=step.__name__, exception=failure(error))
        await asyncio.sleep(seconds)


def _end_process() -> None:
    """Leave, once those who wait have been told (see `SqliteStore`)."""
    _log.critical("the disk failed within a commit: the process ends, and must be started again")
    threading.Timer(LAST_ANSWERS_SECONDS, os._exit, (LOST_COMMIT_EXIT,)).start()
