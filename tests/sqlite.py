"""A test's own connection to a database that a server may be writing."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import apsw

Answer = TypeVar("Answer")

PATIENCE_MILLISECONDS = 10_000


@contextlib.contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection that waits its turn, as any program beside the server must."""
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.set_busy_timeout(PATIENCE_MILLISECONDS)
        yield connection


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's transaction that has the file to itself."""
    with opened(path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def overtaken(path: Path, ask: Callable[[], Answer], change: str, who: str) -> Answer:
    """The answer to a request that waited while another process made the change."""
    with opened(path) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute("BEGIN IMMEDIATE")
        asking = threads.submit(ask)
        assert not wait([asking], timeout=0.5).done, "it did not wait"
        connection.execute(change, (who,))
        connection.execute("COMMIT")
        return asking.result()
