"""An agent whose retired credentials come back, and what the trail says of it."""

from dataclasses import dataclass, replace

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.core.audit_trail import Entry
from keyturn.core.errors import InvalidCredentials
from tests.actions.lost import DEAD, code_of, lose
from tests.actions.world import SECOND, World, bearer, call, presented
from tests.storage.batches import do

Noticed = list[tuple[str, str, int]]


def noticed(world: World, agent_id: str | None = None) -> Noticed:
    """What the trail says of reuse: how bad, of what, and of which generation."""
    return [
        (entry.details["severity"], entry.details["credential"], entry.details["generation"])
        for entry in world.trail(action="credential.reused", agent_id=agent_id)
    ]


@dataclass(frozen=True)
class Life:
    """The three pairs that an agent has had, of which the last is current; and a stranger's."""

    world: World
    agent_id: str
    pairs: tuple[Pair, Pair, Pair]
    stranger: Pair
    stranger_id: str

    def mixed(self, key: Pair, secret: Pair) -> Presented:
        return replace(presented(secret), authorization=bearer(key))

    def rotate(self, request: Presented) -> None:
        assert code_of(rotate_own_credentials(self.world.service, call(), request)) == DEAD

    def revoke(self, request: Presented) -> None:
        assert code_of(revoke_self(self.world.service, call(), request)) == DEAD

    def look(self, pair: Pair) -> None:
        with pytest.raises(InvalidCredentials):
            do(authenticate_agent(self.world.service, call(), bearer(pair)))


def a_life(world: World) -> Life:
    """An agent that rotated twice, more than a minute ago."""
    first = lose(world)
    second = lose(world, first.new)
    other = lose(world)
    world.clock.wait(61 * SECOND)
    pairs = (first.old, first.new, second.new)
    return Life(world, first.agent_id, pairs, other.old, other.agent_id)


def counts(entries: list[Entry]) -> list[int]:
    return [entry.details.get("count", 1) for entry in entries]
