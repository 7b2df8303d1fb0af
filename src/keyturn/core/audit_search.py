"""What people look for in the trail that no index tells."""

import json
from dataclasses import dataclass

from keyturn.core.audit_trail import ActorKind, Entry, Outcome
from keyturn.core.reuse import Severity


@dataclass(frozen=True, slots=True)
class Sought:
    """Which entries; None where it does not matter.

    `action_group` is how an action begins, such as `credential.`; `text` is part of an id, the
    address, the user agent, the details or the agent's name, whatever its case.
    """

    action_group: str | None = None
    outcome: Outcome | None = None
    actor_kind: ActorKind | None = None
    severity: Severity | None = None
    text: str | None = None

    def fits(self, entry: Entry, agent_name: str | None) -> bool:
        """Whether the entry is one of them; the name is that of the agent it is about."""
        return (
            entry.action.startswith(self.action_group or "")
            and self.outcome in (None, entry.outcome)
            and self.actor_kind in (None, entry.actor_kind)
            and self.severity in (None, entry.details.get("severity"))
            and (self.text is None or _has(entry, agent_name, self.text.casefold()))
        )


ANYTHING = Sought()


def _has(entry: Entry, agent_name: str | None, folded: str) -> bool:
    told = (
        entry.id,
        entry.actor_id,
        entry.agent_id,
        agent_name,
        entry.developer_id,
        entry.address,
        entry.user_agent,
        entry.request_id,
        json.dumps(entry.details, ensure_ascii=False),
    )
    return any(folded in text.casefold() for text in told if text)
