"""Whether what agents were told before their database changed its server is true after it."""

from collections import defaultdict
from collections.abc import Sequence

from keyturn.client import Agent, ClientError
from keyturn.testing import Server

from .connection import Connection
from .outcome import Outcome
from .proxy import Exchange
from .subject import ROTATION, Subject

CHECK = "/v1/forward-auth"
REPLAYED = b"idempotency-replayed: true"


def judge_answers(subject: Subject, outcome: Outcome) -> None:
    """Every answer was a success or 503, and each rotation came to its end by its own key."""
    rotations: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in subject.proxy.exchanges:
        status = _status(exchange)
        outcome.check(status in {200, 503}, f"agent {subject.id}: a request answers {status}")
        if exchange.request.startswith(ROTATION):
            rotations[_idempotency_key(exchange)].append(exchange)
    for tries in rotations.values():
        statuses = [_status(it) for it in tries]
        outcome.check(
            statuses == [503] * (len(tries) - 1) + [200],
            f"agent {subject.id}: the same rotation answers {statuses}",
        )
        outcome.note("rotations answered 503", int(len(tries) > 1))
        outcome.note("of them kept, and found again", int(REPLAYED in tries[-1].answer.lower()))


def verify(servers: Sequence[Server], operator: str, subject: Subject, outcome: Outcome) -> None:
    """The newest pair is good, the agent can go on with it, and all others are dead everywhere."""
    who = f"agent {subject.id}"
    for answer in _checks(servers, subject.pairs[-1][0]):
        outcome.check(answer == 200, f"{who}: LOST, the newest key answers {answer}")
    agent = Agent(subject.path)
    try:
        agent.rotate()
        problem = agent.status().problem
    except ClientError as error:
        problem = error
    outcome.check(problem is None, f"{who}: LOCKED OUT, told {problem and problem.code}")
    *older, newest = subject.pairs
    for answer in _checks(servers, newest[0]):
        outcome.check(answer == 200, f"{who}: LOST, the newest key answers {answer}")
    for number, (key, _) in enumerate(older, start=1):
        for answer in _checks(servers, key):
            outcome.check(answer == 401, f"{who}: ALIVE, key {number} answers {answer}")
    subject.verify(operator, who, outcome)


def _checks(servers: Sequence[Server], key: str) -> list[int]:
    answers = []
    for server in servers:
        with Connection(server.port) as connection:
            answers.append(connection.call("GET", CHECK, token=key).status)
    return answers


def _status(exchange: Exchange) -> int:
    """What the server answered; 0 for nothing."""
    return int(exchange.answer.split(b" ", 2)[1]) if exchange.answer else 0


def _idempotency_key(exchange: Exchange) -> str:
    lines = exchange.request.partition(b"\r\n\r\n")[0].decode().splitlines()
    return next(line for line in lines if line.lower().startswith("idempotency-key:"))
