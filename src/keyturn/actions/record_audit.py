"""Writes the trail: changes within their own transaction, refusals by way of the limits' store.

A refusal is first kept in the limits' store, at the same small cost whatever was refused, so
that its time tells nothing and a flood never waits for the credentials' writer. From there it is
moved to the trail, as an entry or as a count.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import (
    ANONYMOUS,
    ENTRIES_A_SECOND,
    TALLY_WINDOW,
    Action,
    Actor,
    Entry,
    Refusal,
    Tally,
    bucket_of,
    fold,
)
from keyturn.core.credential import redact
from keyturn.core.errors import (
    InvalidRequest,
    KeyturnError,
    TooManyAttempts,
    TooManyRegistrations,
    TooManyRotationAttempts,
    Unavailable,
)
from keyturn.core.rate_limit import Counted
from keyturn.storage.store import Transaction

MAX_USER_AGENT = 256
KEPT_LENGTH = 1024
REFUSALS_AT_ONCE = 1000
ENTRIES_AT_ONCE = 200
_TRAIL_BUCKET = "audit entries"
_SECOND = 1000


@dataclass(slots=True)
class Attempt:
    """What somebody tries to do; the action fills in who and whose as it finds out."""

    action: Action
    actor: Actor = ANONYMOUS
    agent_id: str | None = None
    developer_id: str | None = None

    def names(self, agent: Agent) -> None:
        """The attempt concerns this agent."""
        self.agent_id, self.developer_id = agent.id, agent.developer_id


@dataclass(frozen=True, slots=True)
class _Kept:
    """A refusal in the limits' store."""

    seq: int
    bucket: str | None
    entry: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry on its way to the trail."""

    seq: int
    entry: str


def record(
    transaction: Transaction, service: Service, call: Call, attempt: Attempt, **details: Any
) -> None:
    """Add the entry of a change to the transaction that changes it."""
    insert_entry(transaction, _entry(service, call, attempt, details))


@asynccontextmanager
async def refusals_recorded(
    service: Service, call: Call, action: Action, principal: Principal | None = None
) -> AsyncIterator[Attempt]:
    """Whatever is refused within goes into the trail, before the refusal is passed on."""
    attempt = Attempt(action)
    if principal is not None:
        attempt.actor, attempt.developer_id = principal.actor, principal.developer_id
    try:
        yield attempt
    except (InvalidRequest, Unavailable):
        raise
    except KeyturnError as error:
        await _keep(service, call, attempt, error)
        raise


async def move_refusals_to_trail(service: Service) -> None:
    """Bring every refusal kept so far into the trail. Any number of processes may do this.

    Raises:
        Unavailable: a store can't answer; nothing is lost, and the next call goes on.
    """
    now = service.now()
    times = {"now": now, "opened_by": now - TALLY_WINDOW}
    if not service.limits.read(lambda tx: tx.one(bool, "refusals_wait", **times)):
        return
    while await service.limits.write(lambda tx: _fold_refusals(tx, service)):
        pass
    while waiting := service.limits.read(
        lambda tx: tx.all(_Waiting, "outbox", limit=ENTRIES_AT_ONCE)
    ):
        await service.store.write(partial(_add_all, waiting))
        await service.limits.write(partial(_forget_all, waiting))


async def _keep(service: Service, call: Call, attempt: Attempt, error: KeyturnError) -> None:
    past_limit = isinstance(error, TooManyAttempts | TooManyRegistrations | TooManyRotationAttempts)
    counted = past_limit or attempt.agent_id is None
    entry = replace(_entry(service, call, attempt, {"reason": error.code}), outcome="refused")
    values = {
        "action": entry.action,
        "reason": error.code,
        "bucket": bucket_of(attempt.developer_id, call.address.bucket) if counted else None,
        # Of one length, whatever it names: what is refused must not show in the time.
        "entry": json.dumps(entry.columns()).ljust(KEPT_LENGTH),
    }
    await service.limits.write(lambda tx: tx.execute("add_refusal", **values))


def _fold_refusals(tx: Transaction, service: Service) -> bool:
    """Fold some refusals; whether there may be more."""
    now = service.now()
    kept = tx.all(_Kept, "refusals", limit=REFUSALS_AT_ONCE)
    tallies = tx.all(Tally, "concerned_tallies", now=now, opened_by=now - TALLY_WINDOW)
    if not kept and not tallies:
        return False
    made = tx.one(
        Counted,
        "counted_attempts",
        bucket=_TRAIL_BUCKET,
        after=now - _SECOND,
        now=now,
        quota=ENTRIES_A_SECOND,
    )
    refusals = [Refusal(Entry(**json.loads(item.entry)), item.bucket) for item in kept]
    folded = fold(refusals, tallies, now, ENTRIES_A_SECOND - (made.count if made else 0))
    for entry in folded.entries:
        tx.execute("add_to_outbox", id=entry.id, entry=json.dumps(entry.columns()))
        if entry.agent_id is None:
            tx.execute("add_attempt", bucket=_TRAIL_BUCKET, now=now, expires_at=now + _SECOND)
    for tally in folded.kept:
        tx.execute("put_tally", **asdict(tally))
    for tally in folded.ended:
        tx.execute("delete_tally", action=tally.action, reason=tally.reason, bucket=tally.bucket)
    if kept:
        tx.execute("forget_refusals", through=kept[-1].seq)
    return len(kept) == REFUSALS_AT_ONCE


def _add_all(waiting: list[_Waiting], tx: Transaction) -> None:
    for item in waiting:
        insert_entry(tx, Entry(**json.loads(item.entry)))


def _forget_all(waiting: list[_Waiting], tx: Transaction) -> None:
    for item in waiting:
        tx.execute("delete_from_outbox", seq=item.seq)


def _entry(service: Service, call: Call, attempt: Attempt, details: dict[str, Any]) -> Entry:
    return Entry(
        id=service.new_id(),
        at=service.now(),
        actor_kind=attempt.actor.kind,
        actor_id=attempt.actor.id,
        action=attempt.action,
        outcome="success",
        agent_id=attempt.agent_id,
        developer_id=attempt.developer_id,
        address=call.address.text if call.request_id else None,
        user_agent=redact(call.user_agent)[:MAX_USER_AGENT] if call.user_agent else None,
        request_id=call.request_id,
        details=details,
    )


def insert_entry(tx: Transaction, entry: Entry) -> None:
    """Add an entry to the trail; one whose id is there already changes nothing."""
    tx.execute("add_audit_entry", **{**entry.columns(), "details": json.dumps(entry.details)})
