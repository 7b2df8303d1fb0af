"""A developer looks into the trail: filters, free text, and a picture of when it happened.

What an index tells is found wherever it is. For the rest a bounded number of entries is looked
at in one request, newest first; the answer says how far back that was, and where to go on.
"""

from collections import Counter
from dataclasses import dataclass

from keyturn.actions.find_agent import confirm
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import Place, before, cursor_of
from keyturn.actions.read_audit import (
    AuditFilter,
    Numbered,
    as_indexed,
    entries_before,
    names_of_agents,
    numbered,
    those_sought,
)
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import DAY
from keyturn.core.audit_search import ANYTHING, Sought
from keyturn.core.audit_trail import Entry
from keyturn.core.histogram import Histogram, histogram, width_of_bars
from keyturn.storage.store import Transaction

LOOKED_AT = 1_500
"""How many entries are looked at for what no index tells."""
AT_ONCE = 500
COUNTED = 100_000
"""How many entries, at most, a histogram counts of those that an index tells."""
PICTURED = 30 * DAY
"""Of which a histogram is made where nothing else was asked for."""


@dataclass(frozen=True, slots=True)
class Explored:
    """Entries, newest first, and the names that their agents have now, by id.

    `next_cursor` is where to go on, if anywhere. `looked_back_to` is the time up to which was
    looked where that was not far enough to fill the page. Only the first page has a histogram.
    """

    entries: list[Entry]
    names: dict[str, str]
    next_cursor: str | None
    looked_back_to: int | None
    histogram: Histogram | None


async def explore_audit(
    service: Service,
    principal: Principal,
    chosen: AuditFilter,
    sought: Sought = ANYTHING,
    *,
    cursor: str | None = None,
    limit: int,
) -> Explored:
    """What the developer may see and looks for, refusals up to now included.

    Raises:
        InvalidRequest: the cursor is not one of ours.
        InvalidToken: as `confirm`.
    """
    start = before(cursor, 2)
    await move_refusals_to_trail(service)
    chosen = as_indexed(chosen, sought)
    now = service.now()

    def look(tx: Transaction) -> Explored:
        confirm(tx, principal)
        search = _Search(tx, principal, chosen, sought)
        # A histogram of what no index tells counts all that is looked at, whatever is shown.
        enough = LOOKED_AT if sought != ANYTHING and cursor is None else limit + 1
        found, reached = search.run(start, enough)
        items = found[:limit]
        full = len(found) > limit
        goes_on = items[-1].place if full else reached
        return Explored(
            entries=[item.entry for item in items],
            names=names_of_agents(tx, principal, (item.entry for item in items)),
            next_cursor=cursor_of(goes_on) if goes_on else None,
            looked_back_to=None if full or reached is None else reached[0],
            histogram=search.histogram(found, reached, now) if cursor is None else None,
        )

    return await service.store.scan(look)


async def find_entry(
    service: Service, principal: Principal, entry_id: str
) -> tuple[Entry, str | None] | None:
    """The entry of this id and its agent's name, if the developer may see it.

    Raises:
        InvalidToken: as `confirm`.
    """

    def look(tx: Transaction) -> tuple[Entry, str | None] | None:
        confirm(tx, principal)
        found = tx.one(numbered, "audit_entry", id=entry_id, developer_id=principal.scope)
        if found is None:
            return None
        names = names_of_agents(tx, principal, [found.entry])
        return found.entry, names.get(found.entry.agent_id or "")

    return await service.store.read(look)


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for entries in one snapshot."""

    tx: Transaction
    principal: Principal
    chosen: AuditFilter
    sought: Sought

    def run(self, start: Place, enough: int) -> tuple[list[Numbered], Place | None]:
        """What fits, and the place up to which was looked where there is more to look at."""
        found: list[Numbered] = []
        at_once = enough if self.sought == ANYTHING else AT_ONCE
        place = start
        for _ in range(0, LOOKED_AT, AT_ONCE):
            part = entries_before(self.tx, self.principal, self.chosen, place, at_once)
            found += those_sought(self.tx, self.principal, self.sought, part)
            if len(part) < at_once:
                return found, None
            place = part[-1].place
            if len(found) >= enough:
                break
        return found, place

    def histogram(self, found: list[Numbered], reached: Place | None, now: int) -> Histogram:
        until = now + 1 if self.chosen.until is None else self.chosen.until
        since = until - PICTURED if self.chosen.since is None else self.chosen.since
        width = width_of_bars(since, until)
        if self.sought == ANYTHING:
            return self._counted(since, until, width)
        pictured = (item.entry.at for item in found if item.entry.at >= since)
        counted = Counter(at // width for at in pictured)
        counted_from = reached[0] if reached and reached[0] >= since else None
        return histogram(since, until, width, counted, counted_from)

    def _counted(self, since: int, until: int, width: int) -> Histogram:
        query, values = self._bars()
        span = {"since": since, "until": until, "width": width, "limit": COUNTED}
        bars = self.tx.all(_bar, query, **span, **values)
        counted = {bar: count for bar, count, _ in bars}
        capped = sum(counted.values()) == COUNTED
        counted_from = min(earliest for *_, earliest in bars) if capped else None
        return histogram(since, until, width, counted, counted_from)

    def _bars(self) -> tuple[str, dict[str, str | None]]:
        whose, action = {"developer_id": self.principal.scope}, {"action": self.chosen.action}
        if self.chosen.agent_id is not None:
            return "bars_of_agent", {"agent_id": self.chosen.agent_id, **whose, **action}
        if self.chosen.action is not None:
            query = "bars_of_developer_and_action" if self.principal.scope else "bars_of_action"
            return query, {**whose, **action}
        return ("bars_of_developer", whose) if self.principal.scope else ("bars_of_everybody", {})


def _bar(bar: int, count: int, earliest: int) -> tuple[int, int, int]:
    return bar, count, earliest
