"""`BlockingVerifier`: a verifier for threads."""

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from keyturn.integrations.identity import AgentIdentity, Refusal
from keyturn.integrations.verifier import Verifier

Result = TypeVar("Result")

_of_the_parent: list[object] = []


class BlockingVerifier:
    """A verifier for any number of threads and event loops, as Flask and Django have them.

    The verifier itself runs on an event loop in a thread of its own. That starts with `open()`,
    or with the first check; in a process that was forked, with the first check there. An
    installation that was open before the fork can't be opened after it.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._end: weakref.finalize[[], BlockingVerifier] | None = None
        begin_again = weakref.WeakMethod(self._begin_again)
        os.register_at_fork(after_in_child=lambda: (method := begin_again()) and method())

    def verify(self, key: str, *, cost: int = 0) -> AgentIdentity | Refusal:
        """As `Verifier.verify`."""
        return self._call(partial(self._verifier.verify, key, cost=cost))

    def admit(
        self, authorization: Sequence[str], *, cost: int = 0
    ) -> AgentIdentity | Refusal | None:
        """As `Verifier.admit`."""
        return self._call(partial(self._verifier.admit, authorization, cost=cost))

    async def admit_async(
        self, authorization: Sequence[str], *, cost: int = 0
    ) -> AgentIdentity | Refusal | None:
        """As `Verifier.admit`, without blocking the event loop of the caller."""
        admit = partial(self._verifier.admit, authorization, cost=cost)
        return await asyncio.wrap_future(self._open_portal().start_task_soon(admit))

    def open(self) -> None:
        """Begin now, so that what can't be opened is known at the start."""
        self._open_portal()

    def close(self) -> None:
        """End the thread. The end of the process does it too."""
        with self._lock:
            self._portal, end = None, self._end
        if end is not None:
            end()

    def _call(self, check: Callable[[], Awaitable[Result]]) -> Result:
        return self._open_portal().call(check)

    def _open_portal(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                with contextlib.ExitStack() as opened:
                    portal = opened.enter_context(start_blocking_portal(name="keyturn-verifier"))
                    lifespan = self._verifier.lifespan()
                    opened.enter_context(portal.wrap_async_context_manager(lifespan))
                    self._end = weakref.finalize(self, opened.pop_all().close)
                    self._portal = portal
            return self._portal

    def _begin_again(self) -> None:
        """Leave the thread, sockets and databases to the parent, where they are."""
        if self._end is not None:
            _of_the_parent.append(self._end.detach())
        self._lock = threading.Lock()
        self._portal = self._end = None
