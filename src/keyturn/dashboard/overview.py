"""What a developer wants to see first: alerts, then pictures, then what happened."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.overview import DAYS, MAX_REFUSALS, RotationsOfDay, overview
from keyturn.dashboard.charts import Bar, Share, bars, shares
from keyturn.dashboard.rendering import page
from keyturn.dashboard.visits import SignedIn

router = APIRouter()

MAX_ALERTS = 6
MAX_REASONS = 8
"""Of refusals, that have a bar each."""
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
    return page(
        on,
        "overview.html",
        counted=counted,
        max_alerts=MAX_ALERTS,
        **_agents(counted.agents),
        **_rotations(counted.rotations),
        **_refusals(counted.refusals),
    )


def _agents(counts: dict[str, int]) -> dict[str, Any]:
    states = [(Share(colour, name, counts[key]), query) for key, name, colour, query in STATES]
    parts = [share for share, _ in states]
    title = ", ".join(f"{share.label} {share.count:,}" for share in parts)
    return {
        "states": states,
        "agents_by_state": shares(title, parts),
        "total_agents": sum(counts.values()),
    }


def _rotations(days: list[RotationsOfDay]) -> dict[str, Any]:
    total = sum(day.by_agents + day.by_developers for day in days)
    title = f"Rotations a day: {total:,} in {DAYS} days"
    return {
        "days": DAYS,
        "rotations": bars(title, [_bar(day) for day in days]),
        "total_rotations": total,
    }


def _refusals(by_reason: list[tuple[str, int]]) -> dict[str, Any]:
    others = [times for _, times in by_reason[MAX_REASONS:]]
    return {
        "max_refusals": MAX_REFUSALS,
        "reasons": by_reason[:MAX_REASONS],
        "other_reasons": len(others),
        "refused_for_others": sum(others),
        "most_refused": max([times for _, times in by_reason] + [sum(others)]),
    }


def _bar(day: RotationsOfDay) -> Bar:
    begins = datetime.fromtimestamp(day.begins_at / 1000, UTC)
    return Bar(
        label=f"{begins.day} {begins:%b}",
        parts=(("accent", day.by_agents), ("warn", day.by_developers)),
        told=f"{begins:%Y-%m-%d}: {day.by_agents:,} by agents, {day.by_developers:,} by developers",
    )
