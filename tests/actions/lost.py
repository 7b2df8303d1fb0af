"""Requests whose answer was lost, and what a repeat of them gets."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.note_use import write_uses
from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.core.errors import KeyturnError
from keyturn.core.rate_limit import Counted
from tests.actions.world import World, bearer, call, presented
from tests.storage.batches import do

REPLAYED = "replayed"
DEAD = "invalid_credentials"

_numbers = count()


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return f"idempotency-key-{next(_numbers):08}"


def with_key(pair: Pair, key: str | None) -> Presented:
    """The request of a rotation with this pair and this idempotency key."""
    return replace(presented(pair), idempotency_key=key)


@dataclass(frozen=True)
class Lost:
    """A rotation that was committed, whose answer its agent has not seen."""

    agent_id: str
    old: Pair
    new: Pair
    key: str


def lose(world: World, pair: Pair | None = None, service: Service | None = None) -> Lost:
    """Rotate this pair, or a new agent's, and lose the answer."""
    old, key = pair or world.register().pair, new_key()
    request = with_key(old, key)
    issued = do(rotate_own_credentials(service or world.service, call(), request))
    assert not issued.replayed
    return Lost(issued.agent_id, old, issued.pair, key)


def repeat(world: World, lost: Lost, service: Service | None = None, **changes: Any) -> str:
    """What comes of the same request again: `REPLAYED` if the same bytes, else the code."""
    address = changes.pop("address", None)
    request = replace(with_key(lost.old, lost.key), **changes)
    try:
        issued = do(rotate_own_credentials(service or world.service, call(address), request))
    except KeyturnError as error:
        return error.code
    same = issued.agent_id == lost.agent_id and same_pair(issued.pair, lost.new)
    return REPLAYED if same and issued.replayed else "another answer"


def same_pair(one: Pair, other: Pair) -> bool:
    """Whether these are the same two credentials."""
    return revealed(one) == revealed(other)


def revealed(pair: Pair) -> tuple[str, str]:
    """Both credentials of a pair that has both."""
    assert pair.rotation_secret is not None
    return pair.api_key.reveal(), pair.rotation_secret.reveal()


def use(service: Service, pair: Pair) -> None:
    """The API key is accepted, and the next round of housekeeping has written so."""
    do(authenticate_agent(service, call(), bearer(pair)))
    do(write_uses(service))


def receipts(world: World) -> int:
    """How many answers are kept."""
    return world.look(lambda tx: tx.one(int, "count_receipts_under_server_key", id="k1")) or 0


def attempts(world: World, address: str, limit: str = "rotation") -> int:
    """How many attempts are counted for the address."""
    values = {"after": 0, "now": world.clock.now, "quota": 1000}
    counted = do(
        world.service.limits.read(
            lambda tx: tx.one(Counted, "counted_attempts", bucket=f"{limit} {address}", **values)
        )
    )
    return counted.count if counted else 0


def code_of(work: Awaitable[object]) -> str:
    """The code of a refusal; nothing where it is none."""
    try:
        do(work)
    except KeyturnError as error:
        return error.code
    return ""
