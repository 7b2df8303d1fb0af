"""Lets a test decide which changes a writer finds waiting together."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from keyturn.storage.store import Result, Transaction

PATIENCE = 10.0
"""Seconds after which a test that would hang fails instead."""

Change = Callable[[Transaction], Any]


def do(work: Awaitable[Result]) -> Result:
    """Wait for one piece of work, in a loop of its own."""

    async def main() -> Result:
        return await work

    return asyncio.run(main())


class Writes(Protocol):
    """What takes changes: a store, or the writer alone."""

    def write(self, work: Change, /, *, alone: Iterable[str] = ()) -> Awaitable[Any]: ...


class Gate:
    """A change that lasts until it is let through."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self, _tx: Transaction) -> None:
        self._entered.set()
        if not self._opened.wait(PATIENCE):
            raise TimeoutError("the gate was never opened")

    async def entered(self) -> None:
        """Until the writer is within the change."""
        if not await asyncio.to_thread(self._entered.wait, PATIENCE):
            raise TimeoutError("the writer never came to the gate")

    def open(self) -> None:
        """Let the change end."""
        self._opened.set()


async def waiting(
    store: Writes, *changes: Change, alone: Iterable[str] = ()
) -> list[asyncio.Future[Any]]:
    """Have each of these changes wait for the writer, in this order."""
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(store.write(change, alone=alone)) for change in changes
    ]
    await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list[asyncio.Future[Any]]) -> list[Any]:
    """What came of each: its result or its error."""
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def together(store: Writes, *changes: Change, alone: Iterable[str] = ()) -> list[Any]:
    """What comes of changes that the writer finds waiting at one moment."""
    gate = Gate()
    [held] = await waiting(store, gate)
    await gate.entered()
    tasks = await waiting(store, *changes, alone=alone)
    gate.open()
    await outcomes([held])
    return await outcomes(tasks)
