"""What every action needs: the stores, the keys, the rules of this installation, and the call."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from uuid import UUID
from weakref import WeakValueDictionary

from keyturn.actions.pending_uses import PendingUses
from keyturn.core.audit_trail import EVERYWHERE, Action, Actor, Entry, Refusal
from keyturn.core.client_address import ClientAddress
from keyturn.core.credential import Credential, Kind, RandomBytes
from keyturn.core.keyed_hash import Keyring
from keyturn.core.rate_limit import Limit, Verdict
from keyturn.core.reuse import Retired
from keyturn.storage.store import Store

CALL = "keyturn.call"
"""Where the scope of a request has its `Call`."""
Clock = Callable[[], int]
"""Gives the time in milliseconds since 1970 UTC."""

REVOCATION_LIMIT = Limit("revocation", 10, 900)
REPLAY_LIMIT = Limit("replay", 20, 3600)
"""Of one answer; contract, section 3, row 3b."""


MAX_REFUSED = 1000
"""Kinds of refusals, by address, that are told apart between two writes."""


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


class Refused:
    """Refusals that name no agent since the last write: the first of each kind, and how often."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Action, str, str], Refusal] = {}

    def note(self, action: Action, reason: str, bucket: str, make: Callable[[], Entry]) -> None:
        """Count one more; `make` gives the entry of the first of its kind."""
        key = action, reason, bucket
        if key not in self._seen and len(self._seen) >= MAX_REFUSED:
            key = action, reason, EVERYWHERE
        first = self._seen.get(key)
        self._seen[key] = (
            replace(first, times=first.times + 1) if first else Refusal(make(), reason, key[2])
        )

    def put_back(self, refusals: list[Refusal]) -> None:
        """Those that were not written."""
        for refusal in refusals:
            key = Action(refusal.entry.action), refusal.reason, refusal.bucket or EVERYWHERE
            if key not in self._seen and len(self._seen) >= MAX_REFUSED:
                key = *key[:2], EVERYWHERE
            newer = self._seen.get(key)
            times = refusal.times + (newer.times if newer else 0)
            self._seen[key] = replace(refusal, bucket=key[2], times=times)

    def take(self) -> list[Refusal]:
        """All of them; what is refused from now on belongs to the next batch."""
        taken, self._seen = self._seen, {}
        return list(taken.values())


@dataclass(frozen=True, slots=True)
class Service:
    """One running installation.

    `limits` is a store of its own, so that attempts never wait for the credentials' writer nor
    keep it waiting. `report_reuse` is told of every entry of a reuse. `turns` has a lock for
    each recoverable request that is being answered. `rotations` are the counts of days that are
    over, by developer (None: everybody) and day: when each was made, and by whom they were.
    """

    store: Store
    limits: Store
    keyring: Keyring
    policy: Policy
    now: Clock
    random_bytes: RandomBytes
    report_reuse: Callable[[Entry], None] = lambda _entry: None
    uses: PendingUses = field(default_factory=PendingUses)
    reuses: Reuses = field(default_factory=Reuses)
    refused: Refused = field(default_factory=Refused)
    turns: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    rotations: dict[tuple[str | None, int], tuple[int, int, int]] = field(default_factory=dict)

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
    hidden: bool = False
    """A peer that is no trusted proxy says that it speaks for somebody else."""

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
