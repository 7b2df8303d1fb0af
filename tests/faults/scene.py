"""The stage of a campaign that strikes single rotations: a server, clients, and what follows."""

import contextlib
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from keyturn.testing import Server

from .client_process import AFTERWARDS, Clients
from .ledger import UNLIMITED
from .outcome import Outcome
from .probes import probe
from .subject import Subject

BATCH = 16
HOUSEKEEPING = 0.8
"""Seconds after which a running server has acted on the first use of a key."""

Point = TypeVar("Point")


@dataclass(frozen=True)
class Cast:
    """Who plays: a client with or without a bug, and a server with or without one.

    With a bug, only points whose names match `at` are struck, until a violation matches `seen`.
    """

    client_bug: str = ""
    server: type[Server] = Server
    at: str = ""
    seen: str = ""


HEALTHY = Cast()


class Scene:
    """Agents are struck here once each; each then recovers, is verified, and is probed."""

    def __init__(
        self, server: Server, clients: Clients, choice: random.Random, folder: Path, batch: int
    ) -> None:
        self.server = server
        self.clients = clients
        self.choice = choice
        self.outcome = Outcome()
        self._folder = folder
        self._batch = batch
        self._operator = server.create_developer("points@example.com", operator=True).token
        self._made = 0
        self._open: list[Subject] = []
        self._struck: list[tuple[Subject, str]] = []
        self._recovered: list[tuple[Subject, str]] = []

    def new_subject(self) -> Subject:
        self._made += 1
        subject = Subject(self.server, self._folder / f"agent-{self._made}")
        self._open.append(subject)
        return subject

    def close(self) -> None:
        """Close what is open still."""
        for subject in self._open:
            subject.close()
        self._open.clear()

    def struck(self, subject: Subject, fault: object) -> None:
        """Have the agent recover: at once, or after a while, when others have been struck too."""
        self.outcome.runs += 1
        self._struck.append((subject, str(fault)))
        if self.choice.random() < 0.5:
            self._recover(*self._struck.pop())
        if len(self._struck) + len(self._recovered) >= self._batch:
            self.settle()

    def settle(self) -> None:
        """Have everybody recover who was struck, and probe everybody who recovered."""
        time.sleep(HOUSEKEEPING)
        for subject, fault in self._struck:
            self._recover(subject, fault)
        time.sleep(HOUSEKEEPING)
        for subject, fault in self._recovered:
            probe(self.server, self._operator, self.clients, subject, fault, self.outcome)
        self._struck, self._recovered = [], []
        self.close()

    def _recover(self, subject: Subject, fault: str) -> None:
        call = self.choice.choice(list(AFTERWARDS))
        if subject.recover(self.clients, call, fault, self.outcome):
            subject.verify(self._operator, fault, self.outcome)
            self._recovered.append((subject, fault))


def campaign(
    points: Callable[[Scene], list[Point]],
    strike: Callable[[Scene, Point], None],
    runs: int,
    seed: int,
    *,
    sample: int | None = None,
    cast: Cast = HEALTHY,
) -> Outcome:
    """Strike every point `runs` times, or `sample` of them, in an order that the seed gives."""
    choice = random.Random(seed)
    with opened(choice, cast) as scene:
        for _ in range(runs):
            every = [point for point in points(scene) if re.search(cast.at, str(point))]
            scene.outcome.note("points of a rotation", len(every))
            for point in choice.sample(every, min(sample or len(every), len(every))):
                strike(scene, point)
                if cast.seen and caught(scene.outcome, cast.seen):
                    return scene.outcome
        scene.settle()
    return scene.outcome


def caught(outcome: Outcome, seen: str) -> bool:
    """Whether the campaign has seen what the bug does."""
    return any(re.search(seen, violation) for violation in outcome.violations)


@contextlib.contextmanager
def opened(choice: random.Random, cast: Cast) -> Iterator[Scene]:
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-points-") as folder,
        Clients(cast.client_bug) as clients,
    ):
        server = cast.server(Path(folder) / "data", **UNLIMITED)
        try:
            server.start()
            scene = Scene(server, clients, choice, Path(folder), 4 if cast.seen else BATCH)
            with contextlib.closing(scene):
                yield scene
        finally:
            server.kill()
