"""Retired credentials that show up again: noticed on the way, recorded and answered off it.

What is noticed waits in memory for the next round of housekeeping, which brings it into the
trail; a crash loses about half a second of it.
"""

from dataclasses import replace
from typing import Literal

from keyturn.actions.record_audit import Attempt, make_entry
from keyturn.actions.retire_credentials import Shown, idempotency_message
from keyturn.actions.service import Call, Service, Sighting
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action, Refusal
from keyturn.core.credential import Credential
from keyturn.core.errors import AgentRevoked, InvalidCredentials, NoRotationSecret
from keyturn.core.instant import rfc3339
from keyturn.core.reuse import Retired, grade, reuse_bucket
from keyturn.storage.store import Transaction

Shape = Literal["pair", "api_key", "rotation_secret"]

MAY_BE_REUSE = (InvalidCredentials, AgentRevoked, NoRotationSecret)
"""Refusals of a request that may have shown something retired, beside a current key too."""


async def notice_reuse(service: Service, call: Call, shown: Shown) -> None:
    """Note what of this was replaced once.

    The look-up costs the same if nothing was; what follows from it is left to `reuse_refusal`.

    Raises:
        Unavailable: the store can't answer.
    """
    for retired, credential in await _find_retired(service, shown):
        service.reuses.add(
            Sighting(retired, credential, shown.idempotency_key, call, service.now())
        )


def reuse_refusal(service: Service, seen: Sighting) -> Refusal:
    """What was seen, graded, as it goes into the trail."""
    retired = seen.retired
    severity = grade(
        retired,
        whole_pair=seen.credential == "pair",
        same_idempotency_key=_is_its_idempotency_key(service, retired, seen.idempotency_key),
        now=seen.at,
    )
    attempt = Attempt(
        Action.CREDENTIAL_REUSED,
        agent_id=retired.agent_id,
        developer_id=retired.developer_id,
    )
    details = {
        "severity": severity,
        "credential": seen.credential,
        "generation": retired.generation,
        "currentGeneration": retired.agent_generation,
        "retiredAt": rfc3339(retired.retired_at),
        "retiredBy": "agent" if retired.by_agent else "developer",
    }
    entry = make_entry(service, seen.call, attempt, details, outcome="refused")
    return Refusal(replace(entry, at=seen.at), severity, reuse_bucket(retired), seen.times)


def idempotency_key_was_used(
    tx: Transaction, service: Service, agent: Agent, idempotency_key: str
) -> bool:
    """Whether an earlier rotation of this agent had this idempotency key."""
    return any(
        tx.one(bool, "idempotency_key_was_used", agent_id=agent.id, mac=mac.digest)
        for mac in service.keyring.candidates(idempotency_message(idempotency_key))
    )


async def _find_retired(service: Service, shown: Shown) -> list[tuple[Retired, Shape]]:
    by_key = await _look_up(service, shown.key, "retired_by_key_or_newest", "key_mac")
    by_secret = await _look_up(service, shown.secret, "retired_by_secret_or_newest", "secret_mac")
    if by_key and by_secret and by_key.seq == by_secret.seq:
        return [(by_key, "pair")]
    alone: list[tuple[Retired | None, Shape]] = [
        (by_key, "api_key"),
        (by_secret, "rotation_secret"),
    ]
    return [(retired, credential) for retired, credential in alone if retired]


async def _look_up(
    service: Service, credential: Credential | None, query: str, column: str
) -> Retired | None:
    if credential is None:
        return None
    # As in `agent_by_key`: where nothing is found, another record is read and dropped.
    macs = [mac.digest for mac in service.keyring.candidates(credential)]
    found = await service.store.look_up(Retired, query, macs)
    return next((retired for retired in found if getattr(retired, column) in macs), None)


def _is_its_idempotency_key(service: Service, retired: Retired, shown: str | None) -> bool:
    macs = service.keyring.candidates(idempotency_message(shown)) if shown else []
    return retired.idempotency_mac in [mac.digest for mac in macs]
