"""The life of one agent: its generations, and its last entries."""

from dataclasses import dataclass

from keyturn.actions.find_agent import seen_agent
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.pages import before
from keyturn.actions.read_audit import AuditFilter, entries_before
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Entry
from keyturn.core.generations import Generation, generations
from keyturn.storage.store import Transaction

NEWEST = 200
"""Of how many entries, at most, a history is made."""


@dataclass(frozen=True, slots=True)
class History:
    """An agent, its generations and the entries that tell of them, both newest first.

    `more`: there are older entries, so that older generations may be missing.
    """

    agent: Agent
    generations: list[Generation]
    entries: list[Entry]
    more: bool


async def agent_history(service: Service, principal: Principal, agent_id: str) -> History:
    """What the newest entries tell of the agent, refusals up to now included.

    Raises:
        AgentNotFound, InvalidToken: as `seen_agent`.
    """
    await move_refusals_to_trail(service)

    def look(tx: Transaction) -> History:
        agent = seen_agent(tx, principal, agent_id)
        chosen = AuditFilter(agent_id=agent.id)
        found = entries_before(tx, principal, chosen, before(None, 2), NEWEST + 1)
        entries = [item.entry for item in found[:NEWEST]]
        more = len(found) > NEWEST
        return History(agent, generations(entries, agent.generation), entries, more)

    return await service.store.scan(look)
