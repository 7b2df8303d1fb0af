"""What every action needs: the stores, the keys, the rules of this installation, and the call."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from uuid import UUID
from weakref import WeakValueDictionary

from keyturn.core.audit_trail import Actor, Entry
from keyturn.core.client_address import ClientAddress
from keyturn.core.credential import Credential, Kind, RandomBytes
from keyturn.core.keyed_hash import Keyring, Mac
from keyturn.core.rate_limit import Limit, Verdict
from keyturn.core.reuse import Retired
from keyturn.storage.store import Store

Table = Literal["agent", "token"]

Clock = Callable[[], int]
"""Gives the time in milliseconds since 1970 UTC."""

REVOCATION_LIMIT = Limit("revocation", 10, 900)
REPLAY_LIMIT = Limit("replay", 20, 3600)
"""Of one answer; contract, section 3, row 3b."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that an operator has set."""

    prefix: str
    registration: Literal["open", "enrolment", "closed"]
    rotation_limit: Limit
    registration_limit: Limit
    registration_total: Limit
    audit_retention_days: int
    retired_retention_days: int


@dataclass(frozen=True, slots=True)
class Move:
    """A credential kept under an older server key, and what it is under the current one."""

    old_mac: bytes
    new: Mac


@dataclass(frozen=True, slots=True)
class Use:
    """When a credential was last accepted; `generation` where it was an agent's API key."""

    at: int
    generation: int | None


class Uses:
    """Accepted credentials since the last write: when, and which are under an older server key.

    It is emptied by a batched write off the requests' path; a crash loses about half a second.
    """

    def __init__(self) -> None:
        self.last: dict[tuple[Table, str], Use] = {}
        self.moves: dict[tuple[Table, str], Move] = {}

    def take(self) -> tuple[dict[tuple[Table, str], Use], dict[tuple[Table, str], Move]]:
        """All of it; what is noted from now on belongs to the next batch."""
        taken = self.last, self.moves
        self.last, self.moves = {}, {}
        return taken

    def put_back(
        self, last: dict[tuple[Table, str], Use], moves: dict[tuple[Table, str], Move]
    ) -> None:
        """Those of a batch that was not written; what has been noted since is newer."""
        self.last, self.moves = last | self.last, moves | self.moves


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something retired that was shown: by itself, or as one of a whole pair."""

    retired: Retired
    credential: Literal["pair", "api_key", "rotation_secret"]
    idempotency_key: str | None = field(repr=False)
    call: "Call"
    at: int
    times: int = 1


class Reuses:
    """Retired credentials that came back since the last write, each with how often."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str, str | None], Sighting] = {}

    def add(self, sighting: Sighting) -> None:
        """Note it; the same again takes no more place, however often it comes."""
        key = sighting.retired.seq, sighting.credential, sighting.idempotency_key
        first = self._seen.get(key)
        self._seen[key] = replace(first, times=first.times + sighting.times) if first else sighting

    def take(self) -> list[Sighting]:
        """All of them; what is seen from now on belongs to the next batch."""
        taken, self._seen = self._seen, {}
        return list(taken.values())


@dataclass(frozen=True, slots=True)
class Service:
    """One running installation.

    `limits` is a store of its own, so that attempts never wait for the credentials' writer nor
    keep it waiting. `report_reuse` is told of every entry of a reuse. `turns` has a lock for
    each recoverable request that is being answered.
    """

    store: Store
    limits: Store
    keyring: Keyring
    policy: Policy
    now: Clock
    random_bytes: RandomBytes
    report_reuse: Callable[[Entry], None] = lambda _entry: None
    uses: Uses = field(default_factory=Uses)
    reuses: Reuses = field(default_factory=Reuses)
    turns: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def new_id(self) -> str:
        return str(UUID(bytes=self.random_bytes(16), version=4))

    def new_credential(self, kind: Kind) -> Credential:
        return Credential.generate(kind, self.policy.prefix, self.random_bytes)

    def parse(self, text: str | None, kind: Kind) -> Credential | None:
        """The credential of this installation that `text` is, or None."""
        return Credential.parse(text or "", kind, self.policy.prefix)


@dataclass(slots=True)
class Call:
    """One request: who calls from where, and what its limit has answered."""

    address: ClientAddress
    request_id: str | None
    user_agent: str | None = None
    verdict: Verdict | None = None

    @classmethod
    def local(cls) -> Self:
        """A call that comes from within: the command line, or the service's own housekeeping."""
        return cls(ClientAddress("local", "local"), None)


@dataclass(frozen=True, slots=True)
class Principal:
    """A developer who has proven who they are."""

    developer_id: str
    operator: bool
    token_id: str

    @property
    def actor(self) -> Actor:
        return Actor("developer", self.developer_id)

    def may_see(self, developer_id: str | None) -> bool:
        """Whether what belongs to that developer is theirs to see and change."""
        return self.operator or developer_id == self.developer_id

    @property
    def scope(self) -> str | None:
        """The developer whose things a list shows; None for all."""
        return None if self.operator else self.developer_id
