"""What must hold of an agent after every fault, however somebody misuses what they have seen."""

import secrets
import time
from dataclasses import dataclass

from keyturn.testing import Server

from .client_process import REFUSED, Clients
from .connection import ROTATE, SELF, Answer, Connection
from .outcome import Outcome
from .subject import Pair, Subject, read

FIRST_USE = 5.0
"""Seconds within which the first use of a key must have ended the repetition of its answer."""


def probe(
    server: Server,
    operator: str,
    clients: Clients,
    subject: Subject,
    fault: str,
    outcome: Outcome,
) -> None:
    """Probe an agent that has recovered, and end it: revoked, or rotated by a developer."""
    action = "revoke" if subject.id < "8" else "rotate-key"
    with Connection(server.port) as connection, Connection(server.port) as other:
        prober = _Prober(connection, fault, outcome)
        prober.first_use_ended_repeats(subject)
        pair = prober.of_two_at_once_one_is_answered(other, subject.pairs[-1])
        if pair is None:
            return
        last = prober.guesses_destroy_nothing(pair)
        path = f"/v1/agents/{subject.id}/{action}"
        status = connection.call("POST", path, token=operator, body={}).status
        outcome.check(status == 200, f"{fault}: {action} by a developer: {status}")
        prober.expect(last.again(connection), 401, f"the repeated rotation after {action}")
    kept = read(subject.path)[:2]
    code = clients.call("rotate", subject.path)
    outcome.check(code == REFUSED, f"{fault}: with dead credentials a rotation ended with {code}")
    found = subject.path.exists() and read(subject.path)[:2]
    outcome.check(found == kept, f"{fault}: dead credentials were thrown away")
    subject.look_around(fault, outcome)


@dataclass(frozen=True)
class _Request:
    pair: Pair
    idempotency_key: str

    @classmethod
    def new(cls, pair: Pair) -> "_Request":
        return cls(pair, secrets.token_urlsafe(24))

    def send(self, connection: Connection, *, hold: bool = False) -> None:
        key, secret = self.pair
        connection.send(
            "POST",
            ROTATE,
            token=key,
            body={"rotationSecret": secret},
            headers={"Idempotency-Key": self.idempotency_key} if self.idempotency_key else {},
            hold=hold,
        )

    def again(self, connection: Connection) -> Answer:
        self.send(connection)
        return connection.receive()


class _Prober:
    def __init__(self, connection: Connection, fault: str, outcome: Outcome) -> None:
        self._connection = connection
        self._fault = fault
        self._outcome = outcome

    def expect(self, answer: Answer, status: int, what: str) -> None:
        self._outcome.check(
            answer.status == status, f"{self._fault}: {what} answers {answer.status}, not {status}"
        )

    def first_use_ended_repeats(self, subject: Subject) -> None:
        """Once the agent has used its newest key, no rotation that it ever made is repeated."""
        # Again, for a crash may have come between the first use and its being noticed.
        self._connection.call("GET", SELF, token=subject.pairs[-1][0])
        deadline = time.monotonic() + FIRST_USE
        for old, idempotency_key in {(it.old, it.idempotency_key) for it in subject.rotations}:
            request = _Request(old, idempotency_key)
            while (answer := request.again(self._connection)).status == 200:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            self.expect(answer, 401, "a repeated rotation whose key is in use")

    def of_two_at_once_one_is_answered(self, other: Connection, pair: Pair) -> Pair | None:
        """The pair that the one who was first got."""
        connections = (self._connection, other)
        for connection in connections:
            _Request.new(pair).send(connection, hold=True)
        for connection in connections:
            connection.release()
        answers = [connection.receive() for connection in connections]
        statuses = sorted(answer.status for answer in answers)
        self._outcome.check(statuses == [200, 401], f"{self._fault}: two at once get {statuses}")
        return next((_pair(answer) for answer in answers if answer.status == 200), None)

    def guesses_destroy_nothing(self, pair: Pair) -> _Request:
        """Only the very same request is repeated, and only the last rotation; that rotation."""
        first = _Request.new(pair)
        answer = first.again(self._connection)
        self.expect(answer, 200, "a rotation")
        for guess in (first.idempotency_key[:-1], secrets.token_urlsafe(24), ""):
            request = _Request(pair, guess)
            self.expect(request.again(self._connection), 401, "a guessed idempotency key")
        for repeated in (first.again(self._connection), first.again(self._connection)):
            self.expect(repeated, 200, "the right repeat, after wrong ones,")
            same = repeated.body == answer.body
            self._outcome.check(same, f"{self._fault}: the repeat has other bytes")
        if answer.status != 200:
            return first
        last = _Request.new(_pair(answer))
        self.expect(last.again(self._connection), 200, "the next rotation")
        self.expect(first.again(self._connection), 401, "the rotation before the last, repeated,")
        self.expect(last.again(self._connection), 200, "the last rotation, repeated,")
        return last


def _pair(answer: Answer) -> Pair:
    members = answer.json()
    return members["apiKey"], members["rotationSecret"]
