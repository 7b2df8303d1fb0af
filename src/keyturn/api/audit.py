"""Reading the audit trail. Nothing here, or anywhere in the API, changes an entry."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from keyturn.actions import read_audit
from keyturn.actions.read_audit import AuditFilter
from keyturn.api.answers import AuditEntry
from keyturn.api.context import ByDeveloper, On, for_developers
from keyturn.api.pages import DEFAULT_PAGE_SIZE, Cursor, Items, PageSize
from keyturn.api.wire_model import Moment
from keyturn.core.instant import from_datetime
from keyturn.trail_export import MEDIA_TYPES, Format, exported

router = APIRouter(prefix="/v1/audit", tags=["Audit trail"])


async def _filter(
    agent_id: Annotated[UUID | None, Query(alias="agentId")] = None,
    action: Annotated[str | None, Query(max_length=64, examples=["credential.rotated"])] = None,
    since: Annotated[
        Moment | None, Query(alias="from", description="Entries at or after this time.")
    ] = None,
    until: Annotated[
        Moment | None, Query(alias="to", description="Entries before this time.")
    ] = None,
) -> AuditFilter:
    return AuditFilter(
        agent_id=str(agent_id) if agent_id else None,
        action=action,
        since=from_datetime(since) if since else None,
        until=from_datetime(until) if until else None,
    )


Chosen = Annotated[AuditFilter, Depends(_filter)]


@router.get("", summary="Read the trail", **for_developers())
async def list_audit(
    on: On,
    developer: ByDeveloper,
    chosen: Chosen,
    cursor: Cursor = None,
    limit: PageSize = DEFAULT_PAGE_SIZE,
) -> Items[AuditEntry]:
    """What happened to your agents and tokens, newest first; an operator sees everything."""
    page = await read_audit.list_audit(on.service, developer, chosen, cursor=cursor, limit=limit)
    shown = [AuditEntry.of(numbered.entry) for numbered in page.items]
    return Items(items=shown, next_cursor=page.next_cursor)


def _exported() -> dict[str, Any]:
    described = for_developers()
    content = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES}
    described["responses"][200] = {"content": content}
    return described


@router.get("/export", summary="Export the trail", response_class=StreamingResponse, **_exported())
async def export_audit(
    on: On,
    developer: ByDeveloper,
    chosen: Chosen,
    form: Annotated[Format, Query(alias="format")] = "jsonl",
) -> StreamingResponse:
    """All of it as one stream: JSON Lines, or CSV that spreadsheets open without running it."""
    pages = await read_audit.export_audit(on.service, developer, chosen)
    return exported(pages, form)
