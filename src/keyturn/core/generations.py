"""The generations of an agent's credentials, as its trail tells of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from keyturn.core.audit_trail import Action, Entry

Beginning = Literal[
    "registered",
    "created",
    "rotated_by_agent",
    "rotated_by_developer",
    "reinstated",
    "secret_configured",
    "secret_removed",
    "fenced",
]
MarkKind = Literal["replayed", "reused", "refused", "quarantined", "revoked"]

_BEGINNINGS: dict[str, Beginning] = {
    Action.AGENT_REGISTERED: "registered",
    Action.AGENT_CREATED: "created",
    Action.AGENT_REINSTATED: "reinstated",
    Action.ROTATION_SECRET_CONFIGURED: "secret_configured",
    Action.ROTATION_SECRET_REMOVED: "secret_removed",
    Action.CREDENTIAL_FENCED: "fenced",
}
_MARKS: dict[str, MarkKind] = {
    Action.CREDENTIAL_ROTATION_REPLAYED: "replayed",
    Action.AGENT_REGISTRATION_REPLAYED: "replayed",
    Action.AGENT_REVOKED: "revoked",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened to a generation without ending it; `times` is above 1 where it was counted.

    `severity` is that of a reuse; `why` is the reason that its entry has.
    """

    entry_id: str
    at: int
    kind: MarkKind
    severity: str | None = None
    why: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation, from when to when in milliseconds since 1970 UTC, and its marks.

    `began_at` and `how` are None where the entry is not at hand; `ended_at` is None where the
    next one's is not, and for the current generation. Marks are newest first.
    """

    number: int
    began_at: int | None
    ended_at: int | None
    how: Beginning | None
    marks: list[Mark]


def generations(entries: Iterable[Entry], current: int) -> list[Generation]:
    """The generations that these entries tell of, and the current one; newest first.

    Entries are one agent's, newest first. A reuse marks the generation that was retired, and
    everything else the one that was current then.
    """
    begun: dict[int, tuple[int, Beginning]] = {}
    marks: dict[int, list[Mark]] = {current: []}
    standing = current
    for entry in entries:
        number = _named(entry)
        if how := _beginning(entry):
            begun[number or 1] = (entry.at, how)
            marks.setdefault(number or 1, [])
            # What is older than the beginning of a generation happened to the one before it.
            standing = max((number or 1) - 1, 1)
        elif kind := _kind(entry):
            marks.setdefault(number or standing, []).append(_mark(entry, kind))
    return [
        Generation(
            number=number,
            began_at=begun[number][0] if number in begun else None,
            ended_at=begun[number + 1][0] if number + 1 in begun else None,
            how=begun[number][1] if number in begun else None,
            marks=marks[number],
        )
        for number in sorted(marks, reverse=True)
    ]


def _beginning(entry: Entry) -> Beginning | None:
    """How the entry began a generation, if it did."""
    if entry.outcome == "refused":
        return None
    if entry.action == Action.CREDENTIAL_ROTATED:
        return "rotated_by_agent" if entry.actor_kind == "agent" else "rotated_by_developer"
    return _BEGINNINGS.get(entry.action)


def _kind(entry: Entry) -> MarkKind | None:
    if entry.action == Action.CREDENTIAL_REUSED:
        return "reused"
    if entry.outcome == "refused":
        return "refused"
    if entry.action == Action.AGENT_UPDATED:
        return "quarantined" if entry.details.get("status") == "quarantined" else None
    return _MARKS.get(entry.action)


def _mark(entry: Entry, kind: MarkKind) -> Mark:
    return Mark(
        entry_id=entry.id,
        at=entry.at,
        kind=kind,
        severity=entry.details.get("severity"),
        why=entry.details.get("reason"),
        times=entry.details.get("count", 1),
    )


def _named(entry: Entry) -> int | None:
    """The generation that the entry names; a first one, a refusal and a count name none."""
    number: int | None = entry.details.get("generation")
    return number
