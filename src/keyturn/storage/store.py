"""What a store promises, whatever keeps it.

A state change is a plain function of a transaction. The store runs it, may run it again after a
conflict, and answers when it is durable; if the function raises, nothing of it is kept. A read
sees everything that was acknowledged before it began.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from keyturn.core.fence import Record

Shape = TypeVar("Shape")
Result = TypeVar("Result")


class UnusableDatabase(Exception):
    """The database can't be opened or must not be; the message says why and what to do."""


class Transaction(Protocol):
    """Runs the named statements of `queries.sql`. A row becomes `shape(*columns)`."""

    def execute(self, query: str, /, **values: Any) -> int:
        """Run a change; the number of rows that it changed."""

    def execute_later(self, query: str, /, **values: Any) -> None:
        """Run a change together with the next statement, or at the end: nobody counts its rows."""

    def fence(self, record: Record) -> None:
        """Mark in the installation's fence, if it has one, what this change retires.

        It is marked after the commit and before anybody is answered: a mark is never ahead.
        """

    def one(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> Shape | None:
        """The first row, or None."""

    def all(self, shape: Callable[..., Shape], query: str, /, **values: Any) -> list[Shape]:
        """Every row."""


class Store(Protocol):
    """All methods raise `Unavailable` where the store can't answer.

    After an `Unavailable` write nobody knows whether it was kept; nothing half-done ever is.
    """

    def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> Awaitable[list[Shape]]:
        """The first row of a statement for each of these values of `mac`, where there is one.

        All in one snapshot, begun after the call. Where the database is at hand nothing is
        waited for.
        """

    def read(self, work: Callable[[Transaction], Result]) -> Awaitable[Result]:
        """Look up a few rows by key, in one snapshot, begun after the call."""

    def scan(self, work: Callable[[Transaction], Result]) -> Awaitable[Result]:
        """Read what may take long, in one snapshot, away from the event loop."""

    def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Awaitable[Result]:
        """Change the state; the answer comes when the change is durable.

        Changes that have a name in `alone` in common never overlap, in any process: what one
        reads and then sets is what the one before it has left. Each row for itself is changed
        by one at a time anyway.
        """

    def scrub(self) -> Awaitable[None]:
        """Leave nothing readable in the store's files of what was deleted.

        Where a reader or a fault is in the way it stays owed. Never raises.
        """

    def finish_scrub(self) -> Awaitable[None]:
        """Scrub again where that is owed."""

    def check(self) -> Awaitable[None]:
        """Make sure that the store answers, and is still the one that was opened."""
