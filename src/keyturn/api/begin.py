"""Runs coroutines without a task, which would cost a check a third of its time."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def begin(coming: Coroutine[Any, Any, Result], tell: Callable[[Result], object]) -> Result | None:
    """Run it as far as it comes: its result, or None where it waits, and `tell` gets that later.

    It may await futures of the running loop only; nothing of it may raise. What needs a task,
    such as a timeout, can't be used in it.
    """
    try:
        _next(coming, tell)
    except StopIteration as done:
        result: Result = done.value
        return result
    return None


def _next(coming: Coroutine[Any, Any, Result], tell: Callable[[Result], object]) -> None:
    future = coming.send(None)
    # As a task does: it is how a future knows that it was awaited and not only yielded.
    future._asyncio_future_blocking = False
    future.add_done_callback(lambda _: _go_on(coming, tell))


def _go_on(coming: Coroutine[Any, Any, Result], tell: Callable[[Result], object]) -> None:
    try:
        _next(coming, tell)
    except StopIteration as done:
        tell(done.value)
