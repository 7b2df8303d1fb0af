"""Reading the trail: a page of it, or all of it as a stream.

Newest first is by `at`: a refusal arrives after changes that happened later, and a count after
the window that it counts. The order of arrival, `seq`, decides between entries of one instant.
"""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from keyturn.actions.find_agent import confirm
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import Page, Place, before
from keyturn.actions.service import Principal, Service
from keyturn.core.audit_search import ANYTHING, Sought
from keyturn.core.audit_trail import Action, Entry
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

    def read(tx: Transaction) -> list[Numbered]:
        confirm(tx, principal)
        return entries_before(tx, principal, chosen, start, limit + 1)

    return Page.of(await service.store.scan(read), limit, lambda item: item.place)


async def export_audit(
    service: Service, principal: Principal, chosen: AuditFilter, sought: Sought = ANYTHING
) -> AsyncIterator[list[Entry]]:
    """All that the developer may see and looks for, newest first, some hundreds at a time.

    The first page is read before the answer begins, so that a store that can't answer is told.

    Raises:
        InvalidToken: as `confirm`, before each page.
    """
    await move_refusals_to_trail(service)
    chosen = as_indexed(chosen, sought)

    async def next_part(start: Place) -> tuple[list[Entry], Place | None]:
        def read(tx: Transaction) -> tuple[list[Entry], Place | None]:
            confirm(tx, principal)
            found = entries_before(tx, principal, chosen, start, EXPORT_PAGE)
            fitting = those_sought(tx, principal, sought, found)
            return [item.entry for item in fitting], found[-1].place if found else None

        return await service.store.scan(read)

    first = await next_part(before(None, 2))

    async def parts() -> AsyncIterator[list[Entry]]:
        entries, place = first
        while place:
            if entries:
                yield entries
            # Whoever reads slowly may have lost their token meanwhile.
            entries, place = await next_part(place)

    return parts()


def as_indexed(chosen: AuditFilter, sought: Sought) -> AuditFilter:
    """The same with what an index tells of what is looked for: only reuse has a severity."""
    if sought.severity and chosen.action is None:
        return replace(chosen, action=Action.CREDENTIAL_REUSED)
    return chosen


def those_sought(
    tx: Transaction, principal: Principal, sought: Sought, items: list[Numbered]
) -> list[Numbered]:
    """Those of the entries that are looked for."""
    names: dict[str, str] = {}
    if sought.text:
        names = names_of_agents(tx, principal, (item.entry for item in items))
    return [item for item in items if sought.fits(item.entry, names.get(item.entry.agent_id or ""))]


def names_of_agents(
    tx: Transaction, principal: Principal, entries: Iterable[Entry]
) -> dict[str, str]:
    """The names, by id, of the agents that these entries are about and that are there still."""
    ids = json.dumps(sorted({entry.agent_id for entry in entries if entry.agent_id}))
    return dict(tx.all(_pair, "names_of_agents", ids=ids, developer_id=principal.scope))


def _pair(agent_id: str, name: str) -> tuple[str, str]:
    return agent_id, name


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
