"""Copies the WAL back into the database away from the writer, which would stall on it."""

import threading
from collections.abc import Callable

import apsw

from keyturn.storage.sqlite_file import Database, connect, fsync_failed


class Checkpoints:
    """A thread that takes a passive checkpoint whenever one is asked for.

    `on_lost_commit` is called from it when an fsync fails: see `SqliteStore`.
    """

    def __init__(self, database: Database, on_lost_commit: Callable[[], None]) -> None:
        self._database = database
        self._on_lost_commit = on_lost_commit
        self._asked = threading.Event()
        self._closing = False
        self._thread = threading.Thread(
            target=self._run, name=f"checkpoint-{database.path.stem}", daemon=True
        )
        self._thread.start()

    def ask(self) -> None:
        """Have a checkpoint taken soon."""
        self._asked.set()

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while self._asked.wait() and not self._closing:
            self._asked.clear()
            try:
                connection = connection or connect(self._database)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:
                # The WAL keeps everything until a later one succeeds.
                if fsync_failed(error):
                    self._on_lost_commit()
                    break
        if connection:
            connection.close()
