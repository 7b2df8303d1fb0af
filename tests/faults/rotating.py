"""Agents' programs that rotate by the client library without pause, as it is."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

from keyturn.client import Agent, ClientError, Limited, TryAgain, effects

from .client_process import TLS
from .load import comes_true
from .outcome import Outcome
from .proxy import Exchange
from .subject import ROTATION, Subject

PATIENCE = 120.0
PAUSE = 0.1
"""Seconds between rotations: what was given out is all looked at afterwards."""


class Program(threading.Thread):
    """Rotates one agent until it is told to stop, or is told that its credentials are no good."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(daemon=True)
        self.subject = subject
        self.rotations = 0
        self.refused = ""
        self.stopping = threading.Event()

    def run(self) -> None:
        agent = Agent(self.subject.path)
        while not self.stopping.wait(PAUSE) and not self.refused:
            try:
                agent.rotate()
                self.rotations += 1
            except (TryAgain, Limited):
                pass
            except ClientError as error:
                self.refused = error.code

    @property
    def waiting(self) -> list[Exchange]:
        """The rotation that has no answer yet, if there is one."""
        last = self.subject.proxy.exchanges[-1:]
        return [it for it in last if it.request.startswith(ROTATION) and not it.answer]


class Programs:
    """Several of them, at once."""

    def __init__(self, subjects: list[Subject]) -> None:
        self._programs = [Program(subject) for subject in subjects]

    @property
    def rotations(self) -> int:
        """How many were acknowledged, and kept by the client."""
        return sum(program.rotations for program in self._programs)

    @property
    def waiting(self) -> list[Exchange]:
        """The rotations that have no answer yet."""
        return [exchange for program in self._programs for exchange in program.waiting]

    def go_on(self, more: int) -> bool:
        """Whether each program has so many more rotations within 60 seconds."""
        targets = [(program, program.rotations + more) for program in self._programs]
        return comes_true(
            lambda: all(it.rotations >= target or it.refused for it, target in targets)
        ) and not any(program.refused for program in self._programs)

    @contextlib.contextmanager
    def running(self, outcome: Outcome) -> Iterator[None]:
        """Let the programs run until the block ends, and then come to an end."""
        options = effects.client_options

        def hurried() -> dict[str, Any]:
            return {**options(), "verify": TLS}

        with mock.patch.object(effects, "client_options", hurried):
            for program in self._programs:
                program.start()
            try:
                yield
            finally:
                for program in self._programs:
                    program.stopping.set()
                for program in self._programs:
                    program.join(PATIENCE)
        for program in self._programs:
            who = f"agent {program.subject.id}"
            outcome.check(not program.is_alive(), f"{who} never came to an end")
            outcome.check(not program.refused, f"{who}: LOCKED OUT, told {program.refused}")
