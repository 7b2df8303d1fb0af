"""Housekeeping under a test's own clocks."""

from keyturn.actions.keep_house import Housekeeping
from keyturn.actions.service import Service
from keyturn.core.agent import DAY
from tests.actions.world import World
from tests.storage.batches import do


class Keeper:
    """Housekeeping, with a monotonic clock that is set by hand too."""

    def __init__(self, world: World, service: Service | None = None) -> None:
        self._world = world
        self._service = service or world.service
        self._monotonic = 1000.0
        self._keeping = Housekeeping(lambda: self._monotonic)

    def after(self, milliseconds: int = 0, *, days: int = 0, drift: int = 0) -> None:
        """Rounds after so much time; the wall clock moves by `drift` milliseconds more."""
        milliseconds += days * DAY
        self._monotonic += milliseconds / 1000
        self._world.clock.wait(milliseconds + drift)
        do(self._keeping.run(self._service))
        do(self._keeping.expire_receipts(self._service))
