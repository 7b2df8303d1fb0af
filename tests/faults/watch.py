"""What a service says of itself and of keys, asked all the time and while its database is away."""

import threading
from collections.abc import Sequence
from typing import Self

from keyturn.testing import Server

from .connection import BROKEN, SELF, Connection
from .ledger import new_agent
from .outcome import Outcome

CHECK = "/v1/forward-auth"
PAUSE = 0.2
ROUNDS = 3


class Watch:
    """Asks every server, while it is entered, of an agent that rotated once before."""

    def __init__(self, servers: Sequence[Server], operator: str, outcome: Outcome) -> None:
        self._servers = servers
        self._outcome = outcome
        self._stopping = threading.Event()
        with Connection(servers[0].port) as connection:
            agent = new_agent(connection)
            agent.rotate(connection)
            body = {"name": "watch"}
            path = "/v1/service-tokens"
            made = connection.call("POST", path, token=operator, body=body).json()
        self._dead, self._good = agent.keys
        self._service = made["token"]
        self._found = [Outcome() for _ in servers]
        self._threads = [
            threading.Thread(target=self._watch, args=pair, daemon=True)
            for pair in zip(servers, self._found, strict=True)
        ]

    def expect_outage(self) -> None:
        """The database is away: the service says so of all that it can't know."""
        for server in self._servers:
            with Connection(server.port) as connection:
                for _ in range(ROUNDS):
                    self._ask(connection, {503}, {503}, {503}, self._outcome)
                    for name, key in (("dead", self._dead), ("good", self._good)):
                        answer = connection.call("GET", SELF, token=key).status
                        self._expect(answer, {503}, f"{SELF}, {name} key", self._outcome)
                        body = {"key": key}
                        answer = connection.call(
                            "POST", "/v1/keys/verify", token=self._service, body=body
                        ).status
                        self._expect(answer, {503}, f"verify, {name} key", self._outcome)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread, found in zip(self._threads, self._found, strict=True):
            thread.join()
            self._outcome.include(found)

    def _watch(self, server: Server, found: Outcome) -> None:
        try:
            with Connection(server.port) as connection:
                while not self._stopping.wait(PAUSE):
                    self._ask(connection, {200, 503}, {200, 503}, {401, 503}, found)
        except BROKEN as error:
            found.check(False, f"a server hung up: {type(error).__name__}")

    def _ask(
        self,
        connection: Connection,
        ready: set[int],
        good: set[int],
        dead: set[int],
        found: Outcome,
    ) -> None:
        asked = (
            ("/healthz", None, {200}),
            ("/readyz", None, ready),
            (CHECK, self._good, good),
            (CHECK, self._dead, dead),
        )
        for path, key, expected in asked:
            answer = connection.call("GET", path, token=key).status
            name = {self._good: "good key", self._dead: "dead key"}.get(key or "", "")
            self._expect(answer, expected, f"{path} {name}", found)
            if answer == 503:
                found.note(f"503 of {path}")

    def _expect(self, answer: int, expected: set[int], what: str, found: Outcome) -> None:
        found.check(answer in expected, f"{what} answers {answer}, not one of {sorted(expected)}")
