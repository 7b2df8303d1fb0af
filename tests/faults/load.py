"""Clients that rotate without pause, and know what they were told and what they were not."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator

from keyturn.testing import Server

from .connection import BROKEN, Connection
from .ledger import Agent, register, settle
from .outcome import Outcome

AGENTS = 4
"""Agents that each client has in use at any time."""
PATIENCE = 60.0


class Client(threading.Thread):
    """Rotates its own agents one after the other until told to stop."""

    def __init__(self, server: Server, seed: float) -> None:
        super().__init__(daemon=True)
        self.agents: list[Agent] = []
        self.acknowledged = 0
        self.unanswered = 0
        self.wrong: list[str] = []
        self.stopping = threading.Event()
        self._server = server
        self._choice = random.Random(seed)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with Connection(self._server.port) as connection:
                    self._work(connection)
            except BROKEN:
                time.sleep(0.005)

    def _work(self, connection: Connection) -> None:
        while not self.stopping.is_set():
            agent = self._choose(connection)
            if agent is None:
                time.sleep(0.005)
                continue
            doubtful = agent.unsure
            try:
                status = agent.rotate(connection)
            except BROKEN:
                self.unanswered += 1
                raise
            if status == 200:
                self.acknowledged += 1
            elif status == 503:
                self.unanswered += 1
                time.sleep(0.005)
            elif not doubtful or status != 401:
                self.wrong.append(f"a good pair of agent {agent.id} answers {status}")
                agent.overtaken = True

    def _choose(self, connection: Connection) -> Agent | None:
        usable = [agent for agent in self.agents if not agent.overtaken]
        if len(usable) < AGENTS:
            fresh = register(connection)
            if fresh is not None:
                self.agents.append(fresh)
                usable.append(fresh)
        return self._choice.choice(usable) if usable else None


class Load:
    """Several clients at once, and the sum of what they saw."""

    def __init__(self, server: Server, clients: int, choice: random.Random) -> None:
        self._server = server
        self._clients = [Client(server, choice.random()) for _ in range(clients)]

    @property
    def agents(self) -> list[Agent]:
        return [agent for client in self._clients for agent in client.agents]

    @property
    def acknowledged(self) -> int:
        return sum(client.acknowledged for client in self._clients)

    @property
    def unanswered(self) -> int:
        return sum(client.unanswered for client in self._clients)

    @contextlib.contextmanager
    def running(self, outcome: Outcome) -> Iterator[None]:
        """Keep the clients at work until the block ends, then note what they saw."""
        for client in self._clients:
            client.start()
        try:
            yield
        finally:
            for client in self._clients:
                client.stopping.set()
            for client in self._clients:
                client.join(PATIENCE)
        for agent in self.agents:
            settle(self._server, agent)
        for client in self._clients:
            outcome.check(not client.is_alive(), "a client never saw the server come back")
            outcome.violations += client.wrong
        outcome.note("rotations without an answer", self.unanswered)
        outcome.note("of them committed", sum(agent.overtaken for agent in self.agents))

    def goes_on(self, more: int) -> bool:
        """Whether that many more rotations are acknowledged within 60 seconds."""
        target = self.acknowledged + more
        return comes_true(lambda: self.acknowledged >= target)


def comes_true(holds: Callable[[], object]) -> bool:
    """Poll until it holds, at most 60 seconds; whether it does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
