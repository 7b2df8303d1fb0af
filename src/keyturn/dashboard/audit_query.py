"""What the address of the audit page asks for: read, told in words, and written again."""

import re
from collections.abc import Container
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlencode
from uuid import UUID

from keyturn.actions.read_audit import AuditFilter
from keyturn.core.agent import DAY
from keyturn.core.audit_search import Sought
from keyturn.core.audit_trail import Action, ActorKind
from keyturn.core.errors import InvalidRequest
from keyturn.core.instant import from_datetime, rfc3339

MAX_TEXT = 200
HOUR = 3_600_000
SPANS = {
    "1h": ("Last hour", HOUR),
    "24h": ("Last 24 hours", DAY),
    "7d": ("Last 7 days", 7 * DAY),
    "30d": ("Last 30 days", 30 * DAY),
}
ACTORS: dict[str, ActorKind] = {kind: kind for kind in get_args(ActorKind)}
OUTCOMES = {
    "done": Sought(outcome="success"),
    "refused": Sought(outcome="refused"),
    "critical": Sought(severity="critical"),
    "warning": Sought(severity="warning"),
}
"""As an entry's badge says it."""
ACTIONS = sorted(map(str, Action))
GROUPS = {
    f"{name}.": [action for action in ACTIONS if action.startswith(f"{name}.")]
    for name in sorted({action.partition(".")[0] for action in ACTIONS})
}
"""Every action by how it begins."""
# From 1970 to 8999, so that what is shown around it is a time still.
_TIME = re.compile(r"(?:19[7-9]|[2-8]\d\d)\d-\d\d-\d\d(T\d\d:\d\d(?::\d\d)?)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of the form as they were typed; times are UTC, a day or one to the second."""

    q: str = ""
    agent: str = ""
    action: str = ""
    outcome: str = ""
    by: str = ""
    since: str = ""
    until: str = ""
    last: str = ""
    cursor: str = ""

    def chosen(self, now: int) -> AuditFilter:
        """What an index tells.

        Raises:
            InvalidRequest: a field is none that the form could have; it is named as there.
        """
        since, until = self._span(now)
        return AuditFilter(
            agent_id=self._agent(),
            action=None if self.action in GROUPS else self._listed("action", ACTIONS),
            since=since,
            until=until,
        )

    def sought(self) -> Sought:
        """What no index tells. Raises `InvalidRequest` as `chosen` does."""
        text = self.q.strip()
        if len(text) > MAX_TEXT:
            raise InvalidRequest("q", f"must have at most {MAX_TEXT} characters")
        outcome = self._listed("outcome", OUTCOMES)
        by = self._listed("by", ACTORS)
        return replace(
            OUTCOMES[outcome] if outcome else Sought(),
            action_group=self.action if self.action in GROUPS else None,
            actor_kind=ACTORS[by] if by else None,
            text=text or None,
        )

    @property
    def kept(self) -> dict[str, str]:
        """What is asked for, without where in the list one is."""
        left_out = {"cursor", "last"} if self.since or self.until else {"cursor"}
        typed = {name: text.strip() for name, text in asdict(self).items()}
        return {name: text for name, text in typed.items() if text and name not in left_out}

    def link(self, **changes: str) -> str:
        """The address of the same with these changes, from the newest on; empty: not any more."""
        fields = {name: text for name, text in {**self.kept, **changes}.items() if text}
        return f"?{urlencode(fields)}"

    @property
    def span_told(self) -> str:
        """The span in words; empty where all time is asked for."""
        since, until = self.since.replace("T", " "), self.until.replace("T", " ")
        if since and until:
            return f"{since} to {until} UTC"
        if since or until:
            return f"from {since} UTC" if since else f"to {until} UTC"
        return SPANS[self.last][0].lower() if self.last else ""

    @property
    def days(self) -> tuple[bool, bool]:
        """Whether each end of the span can be shown as a day alone."""
        return "T" not in self.since, "T" not in self.until

    def _span(self, now: int) -> tuple[int | None, int | None]:
        last = self._listed("last", SPANS)
        if last and not (self.since or self.until):
            return now - SPANS[last][1], None
        since, until = _instant("since", self.since), _instant("until", self.until, end=True)
        if since is not None and until is not None and since >= until:
            raise InvalidRequest("until", "must be after From")
        return since, until

    def _agent(self) -> str | None:
        text = self.agent.strip()
        if not text:
            return None
        try:
            return str(UUID(text))
        except ValueError:
            raise InvalidRequest("agent", "must be an agent's whole id") from None

    def _listed(self, name: str, known: Container[str]) -> str | None:
        text: str = getattr(self, name)
        if text and text not in known:
            raise InvalidRequest(name, "must be one of the list")
        return text or None


def bounds(begins_at: int, ends_at: int) -> dict[str, str]:
    """The fields of a span: days where it is of whole ones, else times to the second."""
    if begins_at % DAY == ends_at % DAY == 0:
        return {"since": rfc3339(begins_at)[:10], "until": rfc3339(ends_at - 1)[:10], "last": ""}
    return {"since": _typed(begins_at), "until": _typed(ends_at), "last": ""}


def _typed(instant: int) -> str:
    return rfc3339(instant)[:19].removesuffix(":00")


def _instant(name: str, text: str, *, end: bool = False) -> int | None:
    """The instant at which a time, or a UTC day, begins; or at which the day ends."""
    if not text:
        return None
    read = _TIME.fullmatch(text)
    try:
        begins = from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC)) if read else None
    except ValueError:
        begins = None
    if read is None or begins is None:
        why = "must be a day such as 2026-01-31, or a time such as 2026-01-31T09:30, in UTC"
        raise InvalidRequest(name, why)
    return begins + DAY if end and read[1] is None else begins
