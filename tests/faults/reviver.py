"""Starts a server again whenever it ends, as a service manager would."""

import threading
import time
from typing import Self

from keyturn.testing import Server

from .storage import has_ended

PATIENCE = 60.0


class Reviver(threading.Thread):
    """Watches the server until the block ends; then the server is running."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.times = 0
        self._server = server
        self._stopping = threading.Event()

    def run(self) -> None:
        stopping = False
        while not stopping:
            # Asked before the look, so that one look is the last of all.
            stopping = self._stopping.is_set()
            if has_ended(self._server):
                self._server.stop()
                self._server.start()
                self.times += 1
            time.sleep(0.005)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(PATIENCE)
