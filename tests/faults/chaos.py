"""Everything at once, for a while: clients and server killed at random, answers lost."""

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

from keyturn.testing import Server

from .client_process import AFTERWARDS, AGAIN, DONE, UNAUTHORIZED, Clients
from .ledger import UNLIMITED
from .outcome import Outcome
from .subject import Subject

AGENTS = 4
LOST = 5.0
"""Of 100 answers to what was committed."""
RUNS = 600
PATIENCE = 120.0


def run(runs: int, seed: int) -> Outcome:
    """Go on for `runs` seconds; afterwards every agent goes on with one valid pair."""
    choice = random.Random(seed)
    outcome = Outcome()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-chaos-") as folder,
        contextlib.ExitStack() as stack,
    ):
        server = Server(Path(folder) / "data", **UNLIMITED)
        try:
            server.start()
            operator = server.create_developer("chaos@example.com", operator=True).token
            subjects = [Subject(server, Path(folder) / f"agent-{it}") for it in range(AGENTS)]
            for subject in subjects:
                stack.callback(subject.close)
            _rage(server, subjects, runs, choice, outcome)
            with Clients() as clients:
                for subject in subjects:
                    if subject.recover(clients, "status", subject.id, outcome):
                        subject.verify(operator, subject.id, outcome)
                    outcome.note("rotations", len(subject.pairs) - 1)
        finally:
            server.kill()
    return outcome


def _rage(
    server: Server, subjects: list[Subject], seconds: int, choice: random.Random, outcome: Outcome
) -> None:
    agents = [_Agent(subject, choice.random()) for subject in subjects]
    for agent in agents:
        agent.start()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(choice.uniform(0.5, 4), left))
        server.kill()
        # Registered is over a good connection: only from now on are answers lost.
        server.unreliable = LOST
        server.start()
        outcome.note("servers killed")
    for agent in agents:
        agent.stopping.set()
    server.kill()
    server.unreliable = None
    server.start()
    for agent in agents:
        agent.join(PATIENCE)
        outcome.check(not agent.is_alive(), f"agent {agent.subject.id} never came to an end")
        outcome.include(agent.outcome)


class _Agent(threading.Thread):
    """Runs the agent's program again and again, and kills it now and then."""

    def __init__(self, subject: Subject, seed: float) -> None:
        super().__init__(daemon=True)
        self.subject = subject
        self.outcome = Outcome()
        self.stopping = threading.Event()
        self._choice = random.Random(seed)

    def run(self) -> None:
        with Clients() as clients:
            while not self.stopping.is_set():
                call = self._choice.choice(list(AFTERWARDS))
                pid = clients.start(call, self.subject.path, patience=self._choice.uniform(0, 4))
                if self._choice.random() < 0.3:
                    self._kill(pid)
                self._judge(call, clients.finish())

    def _kill(self, pid: int) -> None:
        time.sleep(self._choice.uniform(0, 0.1))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _judge(self, call: str, code: int) -> None:
        self.outcome.runs += 1
        self.outcome.note("clients killed", int(code == -signal.SIGKILL))
        # While nobody can finish a rotation, a key that is dead already is all there is.
        self.outcome.note("requests of programs refused", int(code == UNAUTHORIZED))
        self.outcome.check(
            code in {DONE, AGAIN, UNAUTHORIZED, -signal.SIGKILL},
            f"agent {self.subject.id}: LOCKED OUT, {call} ended with {code}",
        )
