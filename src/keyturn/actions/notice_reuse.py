"""Retired credentials that show up again: noticed on the way, recorded and answered off it.

What is noticed waits in memory for the next round of housekeeping, which brings it into the
trail; a crash loses about half a second of it.
"""

from collections.abc import Sequence
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


async def notice_reuse_of_keys(service: Service, call: Call, keys: Sequence[Credential]) -> None:
    """`notice_reuse` of API keys that came alone, in one look-up for all of them.

    Raises:
        Unavailable: the store can't answer.
    """
    for retired in await _look_up(service, keys, "retired_by_key_or_newest", "key_mac"):
        service.reuses.add(Sighting(retired, "api_key", None, call, service.now()))


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
    keys, secrets = ([each] if each else [] for each in (shown.key, shown.secret))
    by_key = _only(await _look_up(service, keys, "retired_by_key_or_newest", "key_mac"))
    by_secret = _only(await _look_up(service, secrets, "retired_by_secret_or_newest", "secret_mac"))
    if by_key and by_secret and by_key.seq == by_secret.seq:
        return [(by_key, "pair")]
    alone: list[tuple[Retired | None, Shape]] = [
        (by_key, "api_key"),
        (by_secret, "rotation_secret"),
    ]
    return [(retired, credential) for retired, credential in alone if retired]


async def _look_up(
    service: Service, credentials: Sequence[Credential], query: str, column: str
) -> list[Retired]:
    """What was replaced of these credentials, as often as it is among them."""
    macs = [[mac.digest for mac in service.keyring.candidates(each)] for each in credentials]
    if not macs:
        return []
    # As in `agent_by_key`: where nothing is found, another record is read and dropped.
    found = await service.store.look_up(Retired, query, [mac for each in macs for mac in each])
    kept = {getattr(retired, column): retired for retired in found}
    return [kept[mac] for each in macs for mac in each if mac in kept]


def _only(found: list[Retired]) -> Retired | None:
    return found[0] if found else None


def _is_its_idempotency_key(service: Service, retired: Retired, shown: str | None) -> bool:
    macs = service.keyring.candidates(idempotency_message(shown)) if shown else []
    return retired.idempotency_mac in [mac.digest for mac in macs]
