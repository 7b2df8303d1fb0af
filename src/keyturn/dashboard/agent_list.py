"""What an address asks of the list of agents: read, told in words, and made into links."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar
from urllib.parse import urlencode

from keyturn.actions.browse_agents import COUNTED, AgentFilter, Browsed, Order
from keyturn.core.agent import MAX_NAME, AgentStatus
from keyturn.core.errors import InvalidRequest
from keyturn.core.key_age import KeyAge

Value = TypeVar("Value")

PATH = "/dashboard/agents"
STATUSES: dict[str, AgentStatus] = {
    "active": "active",
    "quarantined": "quarantined",
    "revoked": "revoked",
}
AGES: dict[str, KeyAge] = {"fresh": "fresh", "due": "due", "overdue": "overdue"}
ORDERS = {
    "": (Order(), "newest first"),
    "created": (Order("created", descending=False), "oldest first"),
    "name": (Order("name", descending=False), "by name, A to Z"),
    "-name": (Order("name"), "by name, Z to A"),
    "due": (Order("due", descending=False), "rotation due soonest first"),
    "-due": (Order("due"), "rotation due latest first"),
    "-used": (Order("used"), "last used first"),
    "used": (Order("used", descending=False), "longest unused first"),
    "-credits": (Order("credits"), "most credits first"),
    "credits": (Order("credits", descending=False), "fewest credits first"),
}
"""How the list can be sorted, by what the address says; a minus is for the greatest first."""
_KEYS = {"fresh": "a fresh key", "due": "a key that is due", "overdue": "an overdue key"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says, as text; empty where it says nothing."""

    q: str = ""
    status: str = ""
    age: str = ""
    owner: str = ""
    sort: str = ""

    @property
    def filtered(self) -> bool:
        return bool(self.q or self.status or self.age or self.owner)

    @property
    def chosen(self) -> AgentFilter:
        """The filter that is asked for. Raises `InvalidRequest`."""
        if len(self.q) > MAX_NAME:
            raise InvalidRequest("q", f"must have at most {MAX_NAME} characters")
        return AgentFilter(
            search=self.q or None,
            status=_known("status", self.status, STATUSES) if self.status else None,
            age=_known("age", self.age, AGES) if self.age else None,
            developer_id=self.owner or None,
        )

    @property
    def order(self) -> Order:
        """The order that is asked for. Raises `InvalidRequest`."""
        return _known("sort", self.sort, ORDERS)[0]

    def query(self, **changed: object) -> str:
        """What makes an address ask for the same, but for what is changed."""
        kept = {name: value for name, value in (asdict(self) | changed).items() if value}
        return f"?{urlencode(kept)}" if kept else ""

    def address(self, **changed: object) -> str:
        """The list that is asked for, but for what is changed."""
        return PATH + self.query(**changed)

    def told(self, owner: str, *, everybody: bool) -> str:
        """What the list shows; `owner` is the email of whoever was asked for."""
        if self.filtered:
            what = f"{self.status.capitalize()} agents" if self.status else "Agents"
        else:
            what = "Every agent of this installation" if everybody else "Your agents"
        what += f" of {owner}" if owner else ""
        what += f" with {_KEYS[self.age]}" if self.age else ""
        what += f" that match “{self.q}”" if self.q else ""
        return f"{what}, {ORDERS[self.sort][1]}."


def place(after: int, browsed: Browsed) -> str:
    """Which agents a page shows and of how many, such as 51–100 of 312."""
    shown, count = len(browsed.page.items), browsed.count
    if count > COUNTED:
        total = f"more than {COUNTED:,}"
    else:
        total = f"{count:,}"
        # Since the first page was made agents may have come and gone.
        left = count - shown
        after = min(after, left) if browsed.page.next_cursor else left
    places = f"{after + 1:,}" if shown == 1 else f"{after + 1:,}–{after + shown:,}"
    return f"{places} of {total}"


def _known(name: str, text: str, known: Mapping[str, Value]) -> Value:
    if text not in known:
        names = ", ".join(each for each in known if each)
        raise InvalidRequest(name, f"must be one of {names}")
    return known[text]
