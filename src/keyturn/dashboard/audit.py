"""The trail: filters in the address, pages, details of each entry, and the export."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.read_audit import AuditFilter, list_audit
from keyturn.core.agent import DAY
from keyturn.core.audit_trail import Action
from keyturn.core.errors import InvalidRequest
from keyturn.core.instant import from_datetime
from keyturn.dashboard.rendering import page
from keyturn.dashboard.visits import SignedIn

router = APIRouter(prefix="/dashboard/audit")

PAGE_SIZE = 50


@router.get("")
async def show(
    on: SignedIn,
    agent: str = "",
    action: str = "",
    since: str = "",
    until: str = "",
    cursor: str = "",
) -> Response:
    asked = {"agent": agent, "action": action, "since": since, "until": until}
    kept = {name: value for name, value in asked.items() if value}
    chosen = AuditFilter(
        agent_id=agent.strip() or None,
        action=action or None,
        since=_day(since, "from"),
        until=_day(until, "to", end=True),
    )
    found = await list_audit(
        on.service, on.principal, chosen, cursor=cursor or None, limit=PAGE_SIZE
    )
    return page(
        on,
        "audit.html",
        entries=[numbered.entry for numbered in found.items],
        more=bool(found.next_cursor),
        asked=asked,
        filtered=bool(kept),
        actions=sorted(Action),
        first=not cursor,
        newest=f"?{urlencode(kept)}",
        older=f"?{urlencode({**kept, 'cursor': found.next_cursor})}",
    )


def _day(text: str, name: str, *, end: bool = False) -> int | None:
    """The instant at which a UTC day begins, or ends."""
    if not text:
        return None
    try:
        begins = from_datetime(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        raise InvalidRequest(name, "must be a day, such as 2026-01-31") from None
    return begins + DAY if end else begins
