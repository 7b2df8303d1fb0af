"""One agent as it would be if one request came after the other: the contract in small.

Pairs and idempotency keys are numbers here, so that a history can be shown to anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .linearizability import Order, longest_order

GOOD, UNKNOWN, REVOKED, CONFLICT = 200, 401, 403, 409
ANOTHERS = 0
"""An answer about another agent, which nothing explains."""
SHOWN = 12
"""Operations that are shown of those which can be explained."""


class Kind(StrEnum):
    ROTATE = "rotates"
    REVOKE = "revokes itself"
    ROTATE_BY_DEVELOPER = "rotates as the developer"
    REVOKE_BY_DEVELOPER = "revokes as the developer"
    REINSTATE = "reinstates"
    ADMIT = "asks for admission with"
    READ = "reads itself with"
    VERIFY = "verifies"
    INTROSPECT = "introspects"
    LOOK = "looks at the agent"


ISSUING = frozenset({Kind.ROTATE, Kind.ROTATE_BY_DEVELOPER, Kind.REINSTATE})
CHECKS = (Kind.ADMIT, Kind.READ, Kind.VERIFY, Kind.INTROSPECT)
READING = frozenset({*CHECKS, Kind.LOOK})


@dataclass(frozen=True, slots=True)
class Operation:
    """A request about one agent, and its answer; what has no answer returned never.

    `key` and `secret` are the pairs from which these were shown, `made` is the pair that came or
    would come of it. A `status` is that of HTTP, also where the answer says it in other words: an
    agent that is seen to be revoked is 403, a key that is not good 401.
    """

    kind: Kind
    called: float
    returned: float | None
    key: int = 0
    secret: int = 0
    once: int | None = None
    status: int = 0
    made: int = 0
    generation: int | None = None
    who: str = ""

    def __str__(self) -> str:
        end = "      …" if self.returned is None else f"{self.returned * 1000:7.1f}"
        pair = f" pair {self.key}" if self.key == self.secret else f" key {self.key}"
        shown = pair if self.key else ""
        if self.secret not in {0, self.key}:
            shown += f" with secret {self.secret}"
        if self.once is not None:
            shown += f", idempotency key {self.once}"
        told = f": {self.status}" if self.returned is not None else ": no answer that tells"
        if self.kind in ISSUING and (self.returned is None or self.status == GOOD):
            told += f", pair {self.made}"
        if self.generation is not None:
            told += f", generation {self.generation}"
        return f"{self.called * 1000:7.1f}–{end} ms  {self.who} {self.kind}{shown}{told}"


class Receipt(NamedTuple):
    """What a rotation with an idempotency key leaves: its answer, for the very same request."""

    old: int
    once: int
    used: bool = False
    """The new key was accepted somewhere, so the receipt may go at any time."""


class Agent(NamedTuple):
    """The state: which pair is good, how many there were, and what can be repeated."""

    pair: int = 1
    generation: int = 1
    revoked: bool = False
    receipt: Receipt | None = None

    def issued(self, pair: int, receipt: Receipt | None = None) -> "Agent":
        return Agent(pair, self.generation + 1, receipt=receipt)

    def __str__(self) -> str:
        status = "revoked" if self.revoked else "active"
        receipt = self.receipt
        kept = f", idempotency key {receipt.once} kept for pair {receipt.old}" if receipt else ""
        return f"pair {self.pair} of generation {self.generation}, {status}{kept}"


def outcomes(agent: Agent, asked: Operation) -> Iterator[tuple[int, Agent]]:
    """Each status that this may have now, with the state after it."""
    match asked.kind:
        case Kind.ROTATE:
            yield from _rotated(agent, asked)
        case Kind.REVOKE:
            refused = _refused(agent, asked)
            yield (refused, agent) if refused else (GOOD, _revoked(agent))
        case Kind.ROTATE_BY_DEVELOPER:
            yield (CONFLICT, agent) if agent.revoked else (GOOD, agent.issued(asked.made))
        case Kind.REVOKE_BY_DEVELOPER:
            yield GOOD, _revoked(agent)
        case Kind.REINSTATE:
            yield (GOOD, agent.issued(asked.made)) if agent.revoked else (CONFLICT, agent)
        case Kind.ADMIT | Kind.READ | Kind.VERIFY | Kind.INTROSPECT:
            yield _checked(agent, asked)
        case Kind.LOOK:
            yield REVOKED if agent.revoked else GOOD, agent


def following(agent: Agent, seen: Operation) -> list[Agent]:
    """The states that may follow, now that this had its answer; none where it can't have had it."""
    possible = list(outcomes(agent, seen))
    if seen.returned is None:
        return [after for _, after in possible]
    return [
        after
        for status, after in possible
        if status == seen.status
        and (seen.kind not in ISSUING or status != GOOD or seen.made == after.pair)
        and seen.generation in {None, after.generation}
    ]


def explain(history: list[Operation]) -> Order[Operation, Agent]:
    """The longest order of these operations on one new agent that the contract allows."""
    return longest_order(history, Agent(), following)


def told(order: Order[Operation, Agent]) -> str:
    """What can't be explained, for people."""
    lines = [f"no order explains it beyond {len(order.events)} operations, the last of which are"]
    lines += [f"  {operation}" for operation in order.events[-SHOWN:]]
    lines += [f"and now it has {order.state}. One of these had to come next, and none can:"]
    lines += [f"! {operation}" for operation in order.stuck]
    return "\n".join(lines)


def _rotated(agent: Agent, asked: Operation) -> Iterator[tuple[int, Agent]]:
    receipt = agent.receipt
    whole = asked.key == asked.secret
    if receipt and whole and (receipt.old, receipt.once) == (asked.key, asked.once):
        yield GOOD, agent
        if receipt.used:
            yield UNKNOWN, agent._replace(receipt=None)
        return
    refused = _refused(agent, asked)
    if refused:
        yield refused, agent
    else:
        kept = None if asked.once is None else Receipt(asked.key, asked.once)
        yield GOOD, agent.issued(asked.made, kept)


def _refused(agent: Agent, asked: Operation) -> int | None:
    if asked.key != agent.pair:
        return UNKNOWN
    if agent.revoked:
        return REVOKED
    return UNKNOWN if asked.secret != agent.pair else None


def _revoked(agent: Agent) -> Agent:
    return agent._replace(revoked=True, receipt=None)


def _checked(agent: Agent, asked: Operation) -> tuple[int, Agent]:
    if asked.key != agent.pair:
        return UNKNOWN, agent
    if agent.revoked:
        return (UNKNOWN if asked.kind is Kind.INTROSPECT else REVOKED), agent
    used = agent.receipt._replace(used=True) if agent.receipt else None
    return GOOD, agent._replace(receipt=used)
