"""Whether credits are lost or doubled: every good answer at cost 1 takes exactly one."""

import json
from dataclasses import dataclass, field

from bench.checks.requests import verify, verify_at_cost
from bench.checks.wrk import CONNECTIONS, Run
from bench.http1 import Response, connect, exchange
from bench.load import drive
from bench.servers import Running


@dataclass
class Paying:
    """A client that pays a credit for each answer, and counts them."""

    message: bytes = field(repr=False)
    good: int = 0

    def next_request(self) -> bytes:
        """The one request."""
        return self.message

    def received(self, response: Response) -> bool:
        """Count a good answer, of the time that is measured or not."""
        good = response.status == 200 and b'"valid":true' in response.body
        self.good += good
        return good


@dataclass
class Account:
    """The credits of the one agent that pays in the measurements."""

    server: Running
    key: str = field(repr=False)
    token: str = field(repr=False)
    good: int = 0
    open: int = 0
    """Answers that wrk may have left on their way: one for each connection of each run."""

    def __post_init__(self) -> None:
        self._start = self._balance()

    def note(self, run: Run) -> None:
        """Count a run of wrk, of a warm-up too."""
        self.good += run.good
        self.open += CONNECTIONS

    def findings(self, seconds: float) -> list[tuple[str, bool]]:
        """What was paid in the measurements, and in a last run that waits for every answer.

        Each as a sentence, and whether all is as it should be.
        """
        paid = self._start - self._balance()
        sentence = (
            f"{self.good:,} good answers of wrk, which leaves up to {self.open:,} unread, "
            f"took {paid:,} credits"
        )
        clients = [Paying(verify_at_cost(self.key, self.token)) for _ in range(CONNECTIONS)]
        before = self._balance()
        drive(self.server.port, clients, warm_up=0, seconds=seconds)
        counted, taken = sum(client.good for client in clients), before - self._balance()
        last = f"{counted:,} good answers that were all waited for took {taken:,} credits"
        return [
            (sentence, 0 <= paid - self.good <= self.open),
            (last, counted == taken > 0),
        ]

    def _balance(self) -> int:
        with connect(self.server.port) as connection:
            response = exchange(connection, verify(self.key, self.token))
        return int(json.loads(response.body)["creditBalance"])
