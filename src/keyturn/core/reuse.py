"""Retired credentials that show up again: how bad is it, and what follows?"""

from dataclasses import dataclass
from typing import Literal

from keyturn.core.agent import AgentStatus, OnReuse
from keyturn.core.audit_trail import REUSE

Severity = Literal["info", "warning", "critical"]

IN_FLIGHT = 60_000
"""Milliseconds after its retirement in which a credential may still be on its way."""


@dataclass(frozen=True, slots=True)
class Retired:
    """Credentials that were replaced together, with the state of their agent now.

    Where only the rotation secret was replaced, there is no key. `idempotency_mac` is of the
    rotation that retired them. Times are milliseconds since 1970 UTC.
    """

    seq: int
    agent_id: str
    generation: int
    key_mac: bytes | None
    secret_mac: bytes | None
    idempotency_mac: bytes | None
    retired_at: int
    by_agent: bool
    developer_id: str
    agent_status: AgentStatus
    agent_generation: int
    on_reuse: OnReuse


def grade(retired: Retired, *, whole_pair: bool, same_idempotency_key: bool, now: int) -> Severity:
    """How bad it is (contract, section 7).

    Whoever has the whole pair that the agent itself retired, and not the idempotency key that
    it was retired with, holds a copy: either they or those who rotated are thieves.
    """
    if now - retired.retired_at <= IN_FLIGHT or same_idempotency_key:
        return "info"
    return "critical" if whole_pair and retired.by_agent else "warning"


def consequence(severity: Severity, on_reuse: OnReuse, status: AgentStatus) -> AgentStatus | None:
    """The status that the agent gets for it; None where it keeps its own."""
    if severity != "critical" or status == "revoked":
        return None
    if on_reuse == "revoke":
        return "revoked"
    return "quarantined" if on_reuse == "quarantine" and status == "active" else None


def reuse_bucket(retired: Retired) -> str:
    """Where uses of this one are counted: anew when what could follow has changed."""
    state = f"{retired.agent_generation}-{retired.agent_status}-{retired.on_reuse}"
    return f"{REUSE} {retired.agent_id} {retired.developer_id} {retired.seq} {state}"
