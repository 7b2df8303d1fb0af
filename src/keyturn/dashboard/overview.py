"""What a developer wants to see first: alerts, then pictures, then what happened."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.overview import DAYS, MAX_REFUSALS, RotationsOfDay, overview
from keyturn.dashboard.charts import Bar, Share, bars, shares
from keyturn.dashboard.rendering import page
from keyturn.dashboard.visits import SignedIn

router = APIRouter()

MAX_ALERTS = 6
STATES = (
    ("fresh", "Fresh", "good", "status=active&age=fresh"),
    ("due", "Due", "warn", "status=active&age=due"),
    ("overdue", "Overdue", "bad", "status=active&age=overdue"),
    ("quarantined", "Quarantined", "accent", "status=quarantined"),
    ("revoked", "Revoked", "quiet", "status=revoked"),
)
"""How an agent stands: its name, its colour, and what the list of agents shows of it."""


@router.get("/dashboard")
async def show(on: SignedIn) -> Response:
    counted = await overview(on.service, on.principal)
    total = sum(day.by_agents + day.by_developers for day in counted.rotations)
    states = [
        (Share(colour, name, counted.agents[key]), query) for key, name, colour, query in STATES
    ]
    return page(
        on,
        "overview.html",
        counted=counted,
        days=DAYS,
        max_alerts=MAX_ALERTS,
        max_refusals=MAX_REFUSALS,
        states=states,
        agents_by_state=_agents_by_state([share for share, _ in states]),
        total_agents=sum(counted.agents.values()),
        total_rotations=total,
        rotations=_rotations(counted.rotations, total),
    )


def _agents_by_state(states: list[Share]) -> str:
    return shares(", ".join(f"{share.label} {share.count:,}" for share in states), states)


def _rotations(days: list[RotationsOfDay], total: int) -> str:
    return bars(f"Rotations a day: {total:,} in {DAYS} days", [_bar(day) for day in days])


def _bar(day: RotationsOfDay) -> Bar:
    begins = datetime.fromtimestamp(day.begins_at / 1000, UTC)
    return Bar(
        label=f"{begins.day} {begins:%b}",
        parts=(("accent", day.by_agents), ("warn", day.by_developers)),
        told=f"{begins:%Y-%m-%d}: {day.by_agents:,} by agents, {day.by_developers:,} by developers",
    )
