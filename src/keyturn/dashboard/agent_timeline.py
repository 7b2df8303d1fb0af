"""What has happened to an agent, in words and colours, from the entries of its trail."""

from collections.abc import Iterable
from dataclasses import dataclass

from keyturn.core.audit_trail import Action, Entry

_CHANGES: dict[str, tuple[str, str]] = {
    Action.AGENT_REGISTERED: ("Registered", "accent"),
    Action.AGENT_CREATED: ("Created", "accent"),
    Action.AGENT_REVOKED: ("Revoked", "bad"),
    Action.AGENT_REINSTATED: ("Reinstated", "accent"),
    Action.CREDENTIAL_ROTATED: ("Rotated", "good"),
    Action.CREDENTIAL_ROTATION_REPLAYED: ("Answer repeated", "quiet"),
    Action.CREDENTIAL_REUSED: ("Retired credential came back", "warn"),
    Action.ROTATION_SECRET_CONFIGURED: ("Rotation secret configured", "accent"),
    Action.ROTATION_SECRET_REMOVED: ("Rotation secret removed", "warn"),
}
_BY = {"agent": "itself", "developer": "a developer", "anonymous": "", "system": "the service"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `generation` is the one that it began."""

    at: int
    told: str
    colour: str
    by: str
    why: str
    generation: int | None


def timeline(entries: Iterable[Entry]) -> list[Step]:
    """The steps that changed or threatened the credentials, in the order of the entries."""
    return [_step(entry) for entry in entries if entry.action in _CHANGES]


def _step(entry: Entry) -> Step:
    told, colour = _CHANGES[entry.action]
    severity = entry.details.get("severity")
    if entry.outcome == "refused" and entry.action != Action.CREDENTIAL_REUSED:
        told, colour = f"Refused: {told.lower()}", "quiet"
    if severity in ("critical", "info"):
        colour = {"critical": "bad", "info": "quiet"}[severity]
    whys = (severity, entry.details.get("reason"))
    return Step(
        at=entry.at,
        told=told,
        colour=colour,
        by=_BY.get(entry.actor_kind, entry.actor_kind.replace("_", " ")),
        why=", ".join(str(why) for why in whys if why),
        generation=_generation(entry),
    )


def _generation(entry: Entry) -> int | None:
    if entry.outcome == "refused":
        return None
    if entry.action in (Action.AGENT_REGISTERED, Action.AGENT_CREATED):
        return 1
    found = entry.details.get("generation")
    return found if isinstance(found, int) else None
