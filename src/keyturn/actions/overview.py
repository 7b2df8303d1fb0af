"""What a developer wants to see first, counted."""

from dataclasses import dataclass

from keyturn.actions.explore_audit import names_of_agents
from keyturn.actions.find_agent import confirm
from keyturn.actions.read_audit import numbered
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import DAY, Agent
from keyturn.core.audit_trail import Entry
from keyturn.storage.store import Transaction

DAYS = 30
REFUSAL_DAYS = 7
LISTED = 10
MAX_REFUSALS = 5_000
"""Of the newest so many the reasons are counted: a flood must not make a page slow."""


@dataclass(frozen=True, slots=True)
class RotationsOfDay:
    """How often credentials were rotated on a UTC day, which is told by when it began."""

    begins_at: int
    by_agents: int
    by_developers: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The last 30 days of rotations, oldest first; refusals of 7 days; agents by their state.

    A state is fresh, due, overdue, quarantined or revoked. Alerts are of 30 days, critical ones
    first, then newest first; `names` are those of their agents by id. Overdue agents are active
    or quarantined, and those whose rotation was due first come first.
    """

    rotations: list[RotationsOfDay]
    refusals: list[tuple[str, int]]
    agents: dict[str, int]
    alerts: list[Entry]
    names: dict[str, str]
    overdue: list[Agent]


async def overview(service: Service, principal: Principal) -> Overview:
    """Of all that the developer may see."""
    now = service.now()
    today = now // DAY

    def count(tx: Transaction) -> Overview:
        confirm(tx, principal)
        whose = {"developer_id": principal.scope}
        days = range(today - DAYS + 1, today + 1)
        alerts = _alerts(tx, now - DAYS * DAY, whose)
        return Overview(
            rotations=[_rotations(tx, day * DAY, whose) for day in days],
            refusals=tx.all(
                _two,
                "refusals_by_reason",
                since=now - REFUSAL_DAYS * DAY,
                limit=MAX_REFUSALS,
                **whose,
            ),
            agents=dict(tx.all(_two, "agents_by_state", now=now, **whose)),
            alerts=alerts,
            names=names_of_agents(tx, principal, alerts),
            overdue=tx.all(Agent, "agents_overdue", now=now, limit=LISTED, **whose),
        )

    return await service.store.scan(count)


def _alerts(tx: Transaction, since: int, whose: dict[str, str | None]) -> list[Entry]:
    found: list[Entry] = []
    for severity in ("critical", "warning"):
        # As `insert_entry` writes it; quotes within what others have sent are escaped.
        pattern = f'%"severity": "{severity}"%'
        left = LISTED - len(found)
        values = {"since": since, "severity_pattern": pattern, "limit": left, **whose}
        found += [item.entry for item in tx.all(numbered, "newest_reuses", **values)]
    return found


def _two(name: str, count: int) -> tuple[str, int]:
    return name, count


def _rotations(tx: Transaction, begins_at: int, whose: dict[str, str | None]) -> RotationsOfDay:
    found = tx.one(_pair, "rotations_between", since=begins_at, until=begins_at + DAY, **whose)
    everything, by_agents = found or (0, 0)
    return RotationsOfDay(begins_at, by_agents, everything - by_agents)


def _pair(everything: int, by_agents: int) -> tuple[int, int]:
    return everything, by_agents
