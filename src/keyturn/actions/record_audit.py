"""Writes the trail: changes within their own transaction, refusals by way of the limits' store.

A refusal is first kept in the limits' store, at the same small cost whatever was refused, so
that its time tells nothing and a flood never waits for the credentials' writer. From there
`move_refusals` brings it into the trail, as an entry or as a count.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import (
    ANONYMOUS,
    COMMAND_LINE,
    Action,
    Actor,
    Entry,
    Outcome,
    Refusal,
    bucket_of,
)
from keyturn.core.credential import redact
from keyturn.core.errors import (
    InvalidRequest,
    KeyturnError,
    TooManyAttempts,
    TooManyRegistrations,
    TooManyReplays,
    TooManyRotationAttempts,
    Unavailable,
)
from keyturn.storage.store import Transaction

MAX_USER_AGENT = 256
KEPT_LENGTH = 1024
_PAST_A_LIMIT = (TooManyAttempts, TooManyRegistrations, TooManyReplays, TooManyRotationAttempts)


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


def record(
    transaction: Transaction, service: Service, call: Call, attempt: Attempt, **details: Any
) -> None:
    """Add the entry of a change to the transaction that changes it."""
    entry = make_entry(service, call, attempt, details)
    transaction.execute_later("add_audit_entry", **_columns(entry))


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


def note_refusal(service: Service, call: Call, action: Action, reason: str) -> None:
    """Keep a refusal that names no agent in memory, for the next round of housekeeping.

    So a flood of bad tokens costs a check no more than good ones. A crash loses half a second.
    """
    service.refused.note(
        action,
        reason,
        call.address.bucket,
        lambda: make_entry(service, call, Attempt(action), {"reason": reason}, outcome="refused"),
    )


def insert_entry(tx: Transaction, entry: Entry) -> bool:
    """Add an entry to the trail; whether it was new. One whose id is there changes nothing."""
    return tx.execute("add_audit_entry", **_columns(entry)) == 1


def make_entry(
    service: Service,
    call: Call,
    attempt: Attempt,
    details: dict[str, Any],
    *,
    outcome: Outcome = "success",
) -> Entry:
    """The entry of what was tried now by this call."""
    return Entry(
        id=service.new_id(),
        at=service.now(),
        actor_kind=attempt.actor.kind,
        actor_id=attempt.actor.id,
        action=attempt.action,
        outcome=outcome,
        agent_id=attempt.agent_id,
        developer_id=attempt.developer_id,
        address=call.address.text if call.request_id else None,
        user_agent=redact(call.user_agent)[:MAX_USER_AGENT] if call.user_agent else None,
        request_id=call.request_id,
        details=details,
    )


def local_entry(action: Action, *, id: str, at: int, **details: Any) -> Entry:
    """The entry of what the command line did where there is no `Service` yet."""
    return Entry(
        id=id,
        at=at,
        actor_kind=COMMAND_LINE.kind,
        actor_id=None,
        action=action,
        outcome="success",
        agent_id=None,
        developer_id=None,
        address=None,
        user_agent=None,
        request_id=None,
        details=details,
    )


def refusal_columns(refusal: Refusal) -> dict[str, Any]:
    """A refusal as the limits' store keeps it."""
    return {
        "action": refusal.entry.action,
        "reason": refusal.reason,
        "bucket": refusal.bucket,
        # Of one length, whatever it names: what is refused must not show in the time.
        "entry": json.dumps(refusal.entry.columns()).ljust(KEPT_LENGTH),
        "times": refusal.times,
    }


def _columns(entry: Entry) -> dict[str, Any]:
    return {**entry.columns(), "details": json.dumps(entry.details)}


async def _keep(service: Service, call: Call, attempt: Attempt, error: KeyturnError) -> None:
    counted = isinstance(error, _PAST_A_LIMIT) or attempt.agent_id is None
    entry = make_entry(service, call, attempt, {"reason": error.code}, outcome="refused")
    bucket = bucket_of(attempt.developer_id, call.address.bucket) if counted else None
    columns = refusal_columns(Refusal(entry, error.code, bucket))
    await service.limits.write(lambda tx: tx.execute_later("add_refusal", **columns))
