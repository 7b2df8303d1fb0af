"""The stage of a campaign that strikes single rotations: a server, clients, and what follows."""

import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from keyturn.testing import Server, running_server

from .client_process import CALLS, Clients
from .ledger import UNLIMITED
from .outcome import Outcome
from .probes import probe
from .subject import Subject

BATCH = 16
HOUSEKEEPING = 0.8
"""Seconds after which a running server has acted on the first use of a key."""


class Scene:
    """Agents are struck here once each; each then recovers, is verified, and is probed."""

    def __init__(self, server: Server, clients: Clients, choice: random.Random) -> None:
        self.server = server
        self.clients = clients
        self.choice = choice
        self.outcome = Outcome()
        self._operator = server.create_developer("points@example.com", operator=True).token
        self._folder = tempfile.TemporaryDirectory(prefix="keyturn-points-")
        self._made = 0
        self._struck: list[tuple[Subject, str]] = []
        self._recovered: list[tuple[Subject, str]] = []

    def new_subject(self) -> Subject:
        self._made += 1
        return Subject(self.server, Path(self._folder.name) / f"agent-{self._made}")

    def struck(self, subject: Subject, fault: object) -> None:
        """Have the agent recover: at once, or after a while, when others have been struck too."""
        self.outcome.runs += 1
        self._struck.append((subject, str(fault)))
        if self.choice.random() < 0.5:
            self._recover(*self._struck.pop())
        if len(self._struck) + len(self._recovered) >= BATCH:
            self.settle()

    def settle(self) -> None:
        """Have everybody recover who was struck, and probe everybody who recovered."""
        time.sleep(HOUSEKEEPING)
        for subject, fault in self._struck:
            self._recover(subject, fault)
        time.sleep(HOUSEKEEPING)
        for subject, fault in self._recovered:
            probe(self.server, self._operator, self.clients, subject, fault, self.outcome)
            subject.proxy.__exit__()
        self._struck, self._recovered = [], []

    def close(self) -> None:
        self.settle()
        self._folder.cleanup()

    def _recover(self, subject: Subject, fault: str) -> None:
        call = self.choice.choice(list(CALLS))
        if subject.recover(self.clients, call, fault, self.outcome):
            subject.verify(self._operator, fault, self.outcome)
            self._recovered.append((subject, fault))


@contextlib.contextmanager
def opened(
    choice: random.Random, *, client_bug: str = "", server: Server | None = None
) -> Iterator[Scene]:
    """A scene on the server that is given, or on one of its own."""
    with contextlib.ExitStack() as stack:
        started = server or stack.enter_context(running_server(**UNLIMITED))
        scene = Scene(started, stack.enter_context(Clients(client_bug)), choice)
        yield scene
        scene.close()
