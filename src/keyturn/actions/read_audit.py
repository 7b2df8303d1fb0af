"""Reading the trail: a page of it, or all of it as a stream."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import Page, before
from keyturn.actions.service import Principal, Service
from keyturn.core.audit_trail import Entry

EXPORT_PAGE = 500
_COLUMNS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; times are milliseconds, `since` is included and `until` is not."""

    agent_id: str | None = None
    action: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry and its place in the trail."""

    seq: int
    entry: Entry


async def list_audit(
    service: Service, principal: Principal, chosen: AuditFilter, *, cursor: str | None, limit: int
) -> Page[Numbered]:
    """A page of what the developer may see, refusals up to now included.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    start = before(cursor)
    await move_refusals_to_trail(service)
    found = await _read(service, principal, chosen, start, limit + 1)
    return Page.of(found, limit, lambda numbered: numbered.seq)


async def export_audit(
    service: Service, principal: Principal, chosen: AuditFilter
) -> AsyncIterator[list[Entry]]:
    """All that the developer may see, newest first, some hundreds at a time.

    The first page is read before the answer begins, so that a store that can't answer is told.
    """
    await move_refusals_to_trail(service)
    first = await _read(service, principal, chosen, before(None), EXPORT_PAGE)

    async def pages() -> AsyncIterator[list[Entry]]:
        found = first
        while found:
            yield [numbered.entry for numbered in found]
            found = await _read(service, principal, chosen, found[-1].seq, EXPORT_PAGE)

    return pages()


async def _read(
    service: Service, principal: Principal, chosen: AuditFilter, start: int, limit: int
) -> list[Numbered]:
    values: dict[str, Any] = {
        "before": start,
        "limit": limit,
        "action": chosen.action,
        "since": chosen.since,
        "until": chosen.until,
    }
    if chosen.agent_id is not None:
        query = "audit_of_agent"
        values |= {"agent_id": chosen.agent_id, "developer_id": principal.scope}
    elif principal.scope is not None:
        query = "audit_of_developer"
        values["developer_id"] = principal.scope
    else:
        query = "audit_of_everybody"
    return await service.store.scan(lambda tx: tx.all(_numbered, query, **values))


def _numbered(seq: int, *columns: Any) -> Numbered:
    values = dict(zip(_COLUMNS, columns, strict=True))
    return Numbered(seq, Entry(**{**values, "details": json.loads(values["details"])}))
