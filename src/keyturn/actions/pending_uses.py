"""Credentials that were accepted, between the request and the batched write.

A first use is always kept, because it ends a receipt, and so is a move to another server key. A
later use only brings a time up to date: so many a round are written, others wait when what is on
record is a minute old, and past that a use is not kept, but the next one may be. A crash loses
what waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from keyturn.core.keyed_hash import Mac

Table = Literal["agent", "token"]
Key = tuple[Table, str]

ROUND = 100
"""Later uses that one round writes; a round is half a second."""
WAITING = 5_000
WAITING_FIRST = 100_000
"""A first use past these is lost, and the next one is the first again."""
STALE = 60_000
"""Milliseconds after which a time on record is worth a place among those that wait."""


@dataclass(slots=True)
class Use:
    """When a credential was last accepted; of an agent's API key, from where and which.

    `old_mac` and `new` are set where it is kept under an older server key.
    """

    at: int
    address: str | None = None
    generation: int | None = None
    old_mac: bytes | None = None
    new: Mac | None = None


class PendingUses:
    """What has been noted since the last write."""

    def __init__(self) -> None:
        self.first: dict[Key, Use] = {}
        self.later: dict[Key, Use] = {}

    def has_room(self, key: Key, age: int) -> bool:
        """Whether a later use is kept, where what is on record is so many milliseconds old."""
        later = self.later
        return len(later) < ROUND or key in later or (age >= STALE and len(later) < WAITING)

    def take(self) -> Iterator[tuple[dict[Key, Use], dict[Key, Use]]]:
        """Batches to write now, each with where it waited; what is noted later is for later."""
        later = _first_items(self.later)
        if later:
            yield self.later, later
        while self.first:
            yield self.first, _first_items(self.first)


def put_back(waiting: dict[Key, Use], batch: dict[Key, Use]) -> None:
    """A batch that was not written, to where it waited: what has been noted since is newer."""
    waiting.update({**batch, **waiting})


def _first_items(waiting: dict[Key, Use]) -> dict[Key, Use]:
    batch = dict(islice(waiting.items(), ROUND))
    for key in batch:
        del waiting[key]
    return batch
