"""Reading the trail: a page of it, or all of it as a stream.

Newest first is by `at`: a refusal arrives after changes that happened later, and a count after
the window that it counts. The order of arrival, `seq`, decides between entries of one instant.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

from keyturn.actions.find_agent import confirm
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import Page, Place, before
from keyturn.actions.service import Principal, Service
from keyturn.core.audit_trail import Entry
from keyturn.storage.store import Transaction

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
    """An entry and when it arrived among all others."""

    seq: int
    entry: Entry

    @property
    def place(self) -> Place:
        return (self.entry.at, self.seq)


async def list_audit(
    service: Service, principal: Principal, chosen: AuditFilter, *, cursor: str | None, limit: int
) -> Page[Numbered]:
    """A page of what the developer may see, refusals up to now included.

    Raises:
        InvalidRequest: the cursor is not one of ours.
        InvalidToken: as `confirm`.
    """
    start = before(cursor, 2)
    await move_refusals_to_trail(service)
    found = await _read(service, principal, chosen, start, limit + 1)
    return Page.of(found, limit, lambda item: item.place)


async def export_audit(
    service: Service, principal: Principal, chosen: AuditFilter
) -> AsyncIterator[list[Entry]]:
    """All that the developer may see, newest first, some hundreds at a time.

    The first page is read before the answer begins, so that a store that can't answer is told.

    Raises:
        InvalidToken: as `confirm`, before each page.
    """
    await move_refusals_to_trail(service)
    first = await _read(service, principal, chosen, before(None, 2), EXPORT_PAGE)

    async def pages() -> AsyncIterator[list[Entry]]:
        found = first
        while found:
            yield [item.entry for item in found]
            # Whoever reads slowly may have lost their token meanwhile.
            found = await _read(service, principal, chosen, found[-1].place, EXPORT_PAGE)

    return pages()


async def _read(
    service: Service, principal: Principal, chosen: AuditFilter, start: Place, limit: int
) -> list[Numbered]:
    def read(tx: Transaction) -> list[Numbered]:
        confirm(tx, principal)
        return entries_before(tx, principal, chosen, start, limit)

    return await service.store.scan(read)


def entries_before(
    tx: Transaction, principal: Principal, chosen: AuditFilter, start: Place, limit: int
) -> list[Numbered]:
    """Some of what the developer may see, newest first, from the place that they are before."""
    if chosen.until is not None:
        start = min(start, (chosen.until, 0))
    at, seq = start
    values: dict[str, Any] = {
        "before_at": at,
        "before_seq": seq,
        "limit": limit,
        "action": chosen.action,
        "since": chosen.since or 0,
    }
    if chosen.agent_id is not None:
        query = "audit_of_agent"
        values |= {"agent_id": chosen.agent_id, "developer_id": principal.scope}
    elif principal.scope is not None:
        query = "audit_of_developer_and_action" if chosen.action else "audit_of_developer"
        values["developer_id"] = principal.scope
    else:
        query = "audit_of_action" if chosen.action else "audit_of_everybody"
    return tx.all(numbered, query, **values)


def numbered(seq: int, *columns: Any) -> Numbered:
    """A row of the trail."""
    values = dict(zip(_COLUMNS, columns, strict=True))
    return Numbered(seq, Entry(**{**values, "details": json.loads(values["details"])}))
