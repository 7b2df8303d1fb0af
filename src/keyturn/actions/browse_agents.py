"""A developer looks through agents: searched, filtered, sorted and counted."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Literal

from keyturn.actions.find_agent import confirm
from keyturn.actions.manage_agents import search_patterns
from keyturn.actions.pages import Page
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import MAX_NAME, Agent, AgentStatus
from keyturn.core.developer import Developer
from keyturn.core.errors import InvalidRequest
from keyturn.core.key_age import KeyAge
from keyturn.storage.store import Transaction

Sort = Literal["created", "name", "due", "used", "credits"]
"""By when it was made, its name, when its rotation is due, its last use, or its credits."""

COUNTED = 10_000
"""Up to how many are counted."""
_LAST = 2**63 - 1
_LAST_NAME = "\U0010ffff" * (MAX_NAME + 1)


@dataclass(frozen=True, slots=True)
class Browsed:
    """A page of agents, and how many there are in all.

    `count` is exact up to `COUNTED`, and one above it where there are more. `owners` are the
    emails, by id, of the agents' developers and of the one who was asked for, for operators
    alone; the built-in owner has none.
    """

    page: Page[Agent]
    count: int
    owners: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents; None where it does not matter.

    `search` is part of a name or the start of an id; a revoked agent's key has no age.
    `developer_id` is for operators: a developer sees their own in any case.
    """

    search: str | None = None
    status: AgentStatus | None = None
    age: KeyAge | None = None
    developer_id: str | None = None

    @property
    def values(self) -> dict[str, str | None]:
        # Both databases know small letters of ASCII alone.
        lower = (self.search or "").encode(errors="replace").lower().decode()
        return {"status": self.status, "age": self.age, **search_patterns(lower)}


@dataclass(frozen=True, slots=True)
class Order:
    """How agents are sorted, and how a cursor tells the place of one.

    One that was never used counts as used before all others. Equal ones follow each other as
    they were made.
    """

    sort: Sort = "created"
    descending: bool = True

    @property
    def query(self) -> str:
        """The name of the statement."""
        if self.sort == "created":
            return "agents_newest_first" if self.descending else "agents_oldest_first"
        return f"agents_by_{self.sort}{'_backwards' if self.descending else ''}"

    def start(self, cursor: str | None) -> dict[str, Any]:
        """What the statement has to know of the place that the page's agents are after.

        Raises:
            InvalidRequest: the cursor is not one of this order.
        """
        value, seq = self._read(cursor) if cursor else self._beginning
        return {"after_seq": seq} if self.sort == "created" else {"after": value, "after_seq": seq}

    def cursor(self, agent: Agent) -> str:
        """The cursor of the page after the agent's."""
        text = f"{self._name} {agent.seq} {self._value(agent)}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @property
    def _name(self) -> str:
        return f"{self.sort}{'-' if self.descending else '+'}"

    @property
    def _beginning(self) -> tuple[int | str, int]:
        if self.descending:
            return (_LAST_NAME if self.sort == "name" else _LAST), _LAST
        return ("" if self.sort == "name" else -1), 0

    def _value(self, agent: Agent) -> int | str:
        values: dict[Sort, int | str] = {
            "created": agent.seq,
            "name": agent.name,
            "due": agent.rotation_due_at,
            "used": agent.last_used_at or 0,
            "credits": agent.credit_balance,
        }
        return values[self.sort]

    def _read(self, cursor: str) -> tuple[int | str, int]:
        try:
            text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"==").decode()
            name, number, value = text.split(" ", 2)
            seq = _whole(number)
            place = value if self.sort == "name" else _whole(value)
        except (ValueError, binascii.Error):
            raise _unknown() from None
        if name != self._name or "\0" in value:
            raise _unknown()
        return place, seq


async def browse_agents(
    service: Service,
    principal: Principal,
    chosen: AgentFilter,
    order: Order,
    *,
    cursor: str | None = None,
    limit: int,
) -> Browsed:
    """Agents that the developer may see and that are like that.

    Raises:
        InvalidRequest: the cursor is not one of this order.
        InvalidToken: as `confirm`.
    """
    start = order.start(cursor)
    filters = {
        **chosen.values,
        "developer_id": principal.scope or chosen.developer_id,
        "now": service.now(),
    }

    def look(tx: Transaction) -> Browsed:
        confirm(tx, principal)
        found = tx.all(Agent, order.query, limit=limit + 1, **start, **filters)
        page = Page(found[:limit], order.cursor(found[limit - 1]) if len(found) > limit else None)
        count = len(found)
        if cursor or count > limit:
            count = tx.one(int, "count_agents", limit=COUNTED + 1, **filters) or 0
        owners = _owners(tx, page.items, chosen.developer_id) if principal.operator else {}
        return Browsed(page, count, owners)

    return await service.store.scan(look)


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number < _LAST:
        raise ValueError
    return number


def _unknown() -> InvalidRequest:
    return InvalidRequest("cursor", "must be a nextCursor of this list")


def _owners(tx: Transaction, agents: list[Agent], chosen: str | None) -> dict[str, str | None]:
    ids = sorted({agent.developer_id for agent in agents} | ({chosen} if chosen else set()))
    found = [tx.one(Developer, "developer_by_id", id=developer_id) for developer_id in ids]
    return {developer.id: developer.email for developer in found if developer}
