"""Stores that fail before or after one of their writes."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from keyturn.actions.service import Service
from keyturn.core.errors import Unavailable
from tests.actions.world import Around


class Interruption:
    """Fails at the n-th time that it is come to."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self.times == self._at:
            raise Unavailable("interrupted")


def interrupted(service: Service, place: str, interruption: Interruption) -> Service:
    """The service, with this interruption before or after the writes of one of its stores."""
    store, _, when = place.partition(" ")
    before: Callable[[], Awaitable[object]] | None = interruption if when == "before" else None
    after = interruption if when == "after" else None
    if store == "store":
        return replace(service, store=Around(service.store, before, after))
    return replace(service, limits=Around(service.limits, before, after))
