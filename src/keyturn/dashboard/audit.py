"""The trail: what is looked for in the address, a picture of when, each entry, and the export."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.actions.explore_audit import Explored, explore_audit, find_entry
from keyturn.actions.read_audit import export_audit
from keyturn.core.errors import InvalidRequest
from keyturn.dashboard.audit_picture import picture_of
from keyturn.dashboard.audit_query import ACTORS, GROUPS, OUTCOMES, SPANS, Asked
from keyturn.dashboard.rendering import page
from keyturn.dashboard.visits import SignedIn, Visit
from keyturn.problems import status_of
from keyturn.trail_export import Format, exported

router = APIRouter(prefix="/dashboard/audit")

PAGE_SIZE = 50
LABELS = {
    "q": "Text",
    "agent": "Agent",
    "action": "Action",
    "outcome": "Outcome",
    "by": "By",
    "since": "From",
    "until": "To",
    "last": "Time",
}
_LOST = "This part of the list can't be found: go on from the newest entries."
ForThese = Annotated[Asked, Depends()]


@router.get("")
async def show(on: SignedIn, asked: ForThese) -> Response:
    try:
        found = await _explored(on, asked)
    except InvalidRequest as error:
        return _shown(on, asked, error=error)
    return _shown(on, asked, found)


@router.get("/export")
async def export(on: SignedIn, asked: ForThese, format: Format = "csv") -> Response:
    try:
        chosen, sought = asked.chosen(on.service.now()), asked.sought()
    except InvalidRequest as error:
        return _shown(on, asked, error=error)
    return exported(await export_audit(on.service, on.principal, chosen, sought), format)


@router.get("/{entry_id}")
async def show_entry(on: SignedIn, entry_id: str) -> Response:
    found = await find_entry(on.service, on.principal, entry_id)
    if found is None:
        return page(on, "audit_missing.html", status=404)
    entry, name = found
    return page(on, "audit_entry.html", entry=entry, name=name)


async def _explored(on: Visit, asked: Asked) -> Explored:
    """What is asked for. Raises `InvalidRequest`."""
    return await explore_audit(
        on.service,
        on.principal,
        asked.chosen(on.service.now()),
        asked.sought(),
        cursor=asked.cursor or None,
        limit=PAGE_SIZE,
    )


def _shown(
    on: Visit, asked: Asked, found: Explored | None = None, error: InvalidRequest | None = None
) -> Response:
    wrong = str(error.args[0]) if error else ""
    why = error.detail.partition(": ")[2] if error else ""
    return page(
        on,
        "audit.html",
        status=status_of(error) if error else 200,
        asked=asked,
        actors=ACTORS,
        groups=GROUPS,
        outcomes=OUTCOMES,
        spans=SPANS,
        found=found,
        picture=picture_of(found.histogram, asked) if found and found.histogram else None,
        wrong=wrong,
        told=f"{LABELS[wrong]} {why}." if wrong in LABELS else _LOST if wrong else "",
    )
