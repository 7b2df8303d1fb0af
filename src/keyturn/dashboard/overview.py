"""What a developer wants to see first: alerts, then pictures, then what happened."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.overview import DAYS, RotationsOfDay, overview
from keyturn.actions.read_audit import AuditFilter, list_audit
from keyturn.core.audit_trail import Action
from keyturn.dashboard.charts import Bar, Share, bars, shares
from keyturn.dashboard.rendering import page
from keyturn.dashboard.visits import SignedIn

router = APIRouter()

ALERTS, NEWEST = 5, 10
STATES = (
    ("fresh", "Fresh", "good"),
    ("due", "Due", "warn"),
    ("overdue", "Overdue", "bad"),
    ("quarantined", "Quarantined", "accent"),
    ("revoked", "Revoked", "quiet"),
)


@router.get("/dashboard")
async def show(on: SignedIn) -> Response:
    counted = await overview(on.service, on.principal)
    reuse = AuditFilter(action=Action.CREDENTIAL_REUSED)
    alerts = await list_audit(on.service, on.principal, reuse, cursor=None, limit=ALERTS)
    entries = await list_audit(on.service, on.principal, AuditFilter(), cursor=None, limit=NEWEST)
    total = sum(day.by_agents + day.by_developers for day in counted.rotations)
    of_state = [Share(colour, name, counted.agents.get(key, 0)) for key, name, colour in STATES]
    return page(
        on,
        "overview.html",
        alerts=[numbered.entry for numbered in alerts.items],
        entries=[numbered.entry for numbered in entries.items],
        counted=counted,
        days=DAYS,
        total_rotations=total,
        rotations=bars(
            f"Rotations a day: {total:,} in {DAYS} days", [_bar(day) for day in counted.rotations]
        ),
        states=of_state,
        agents_by_state=shares(
            ", ".join(f"{share.label} {share.count:,}" for share in of_state), of_state
        ),
        total_agents=sum(counted.agents.values()),
    )


def _bar(day: RotationsOfDay) -> Bar:
    begins = datetime.fromtimestamp(day.begins_at / 1000, UTC)
    return Bar(
        label=f"{begins.day} {begins:%b}",
        parts=(("accent", day.by_agents), ("warn", day.by_developers)),
        told=f"{begins:%Y-%m-%d}: {day.by_agents:,} by agents, {day.by_developers:,} by developers",
    )
