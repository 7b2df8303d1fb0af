"""What a developer wants to see first, counted."""

from dataclasses import dataclass

from keyturn.actions.find_agent import confirm
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import before
from keyturn.actions.read_audit import AuditFilter, entries_before, names_of_agents, numbered
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import DAY, Agent
from keyturn.core.audit_trail import Entry
from keyturn.storage.store import Transaction

DAYS = 30
REFUSAL_DAYS = 7
LISTED = 10
MAX_REFUSALS = 2_000
"""Of the newest so many the reasons are counted: a flood must not make a page slow."""
MAX_KEPT = 30_000
"""Counts of days that are kept in memory: those of a thousand developers."""
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class RotationsOfDay:
    """How often credentials were rotated on a UTC day, which is told by when it began."""

    begins_at: int
    by_agents: int
    by_developers: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The last 30 days of rotations, oldest first; agents by their state; the newest entries.

    A state is fresh, due, overdue, quarantined or revoked. Alerts are of 30 days, critical ones
    first, then newest first. Overdue agents are active or quarantined, and those whose rotation
    was due first come first. `refusals` are of 7 days; where `refused` is `MAX_REFUSALS` there
    may be older ones, which are not counted. `names` are those, by id, of all these agents.
    """

    rotations: list[RotationsOfDay]
    refusals: list[tuple[str, int]]
    refused: int
    agents: dict[str, int]
    alerts: list[Entry]
    newest: list[Entry]
    names: dict[str, str]
    overdue: list[Agent]


async def overview(service: Service, principal: Principal) -> Overview:
    """Of all that the developer may see, refusals up to now included.

    Raises:
        InvalidToken: as `confirm`.
    """
    await move_refusals_to_trail(service)
    now = service.now()
    today = now // DAY

    def count(tx: Transaction) -> Overview:
        confirm(tx, principal)
        whose = {"developer_id": principal.scope}
        days = range(today - DAYS + 1, today + 1)
        since = now - REFUSAL_DAYS * DAY
        refusals = tx.all(_Refusals, "refusals_by_reason", since=since, limit=MAX_REFUSALS, **whose)
        agents = _agents(tx, now, whose)
        late = agents["overdue"] + agents["quarantined"]
        alerts = _alerts(tx, principal, now - DAYS * DAY)
        newest = entries_before(tx, principal, AuditFilter(), before(None, 2), LISTED)
        entries = [item.entry for item in newest]
        return Overview(
            rotations=[_rotations(tx, service, principal, day, now) for day in days],
            refusals=[(each.reason, each.times) for each in refusals],
            refused=sum(each.entries for each in refusals),
            agents=agents,
            alerts=alerts,
            newest=entries,
            names=names_of_agents(tx, principal, [*alerts, *entries]),
            overdue=tx.all(Agent, "agents_overdue", now=now, limit=LISTED, **whose) if late else [],
        )

    return await service.store.scan(count)


def _agents(tx: Transaction, now: int, whose: dict[str, str | None]) -> dict[str, int]:
    counted = tx.one(_States, "agents_by_state", now=now, **whose) or _States(0, 0, 0, 0, 0)
    active = counted.agents - counted.revoked - counted.quarantined
    return {
        "fresh": active - counted.due_or_overdue,
        "due": counted.due_or_overdue - counted.overdue,
        "overdue": counted.overdue,
        "quarantined": counted.quarantined,
        "revoked": counted.revoked,
    }


def _alerts(tx: Transaction, principal: Principal, since: int) -> list[Entry]:
    query = "reuses_of_developer" if principal.scope else "reuses_of_everybody"
    values = {"since": since, "developer_id": principal.scope}
    found: list[Entry] = []
    for severity in ("critical", "warning"):
        left = LISTED - len(found)
        reuses = tx.all(numbered, query, severity=severity, limit=left, **values)
        found += [item.entry for item in reuses]
    return found


def _rotations(
    tx: Transaction, service: Service, principal: Principal, day: int, now: int
) -> RotationsOfDay:
    """Of a day that is long over the count is kept for an hour.

    An entry may come a little after its day, from a server whose clock is behind; and clocks may
    have been wrong when the count was made.
    """
    kept = service.rotations.get((principal.scope, day))
    if kept is None or not 0 <= now - kept[0] < _HOUR:
        query = "rotations_of_developer" if principal.scope else "rotations_of_everybody"
        span = {"since": day * DAY, "until": (day + 1) * DAY, "developer_id": principal.scope}
        everything, by_developers = tx.one(_pair, query, **span) or (0, 0)
        kept = now, everything - by_developers, by_developers
        if now >= (day + 1) * DAY + _HOUR:
            if len(service.rotations) >= MAX_KEPT:
                service.rotations.clear()
            service.rotations[principal.scope, day] = kept
    return RotationsOfDay(day * DAY, *kept[1:])


@dataclass(frozen=True, slots=True)
class _Refusals:
    reason: str
    times: int
    entries: int


@dataclass(frozen=True, slots=True)
class _States:
    agents: int
    revoked: int
    quarantined: int
    overdue: int
    due_or_overdue: int


def _pair(everything: int, by_developers: int) -> tuple[int, int]:
    return everything, by_developers
