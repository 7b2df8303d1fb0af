"""What follows when a retired pair comes back, as the agent's `onReuse` says."""

from keyturn.actions.record_audit import Attempt, record
from keyturn.actions.revoke_agent import end_agent
from keyturn.actions.service import Call, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import SYSTEM, Action, Entry
from keyturn.core.fence import agent_record
from keyturn.core.reuse import consequence
from keyturn.storage.store import Transaction


def answer_reuse(tx: Transaction, service: Service, entry: Entry) -> None:
    """Quarantine or revoke the agent that this entry of a reuse is about, where that follows."""
    agent = tx.one(Agent, "agent_by_id", id=entry.agent_id)
    if agent is None or _was_cured(tx, agent, entry.details["currentGeneration"]):
        return
    status = consequence(entry.details["severity"], agent.on_reuse, agent.status)
    if status == "revoked":
        end_agent(tx, agent)
        attempt = Attempt(Action.AGENT_REVOKED, SYSTEM)
    elif status == "quarantined":
        tx.execute("quarantine_agent", id=agent.id)
        tx.fence(agent_record(agent.id, agent.generation, "quarantined"))
        attempt = Attempt(Action.AGENT_UPDATED, SYSTEM)
    else:
        return
    attempt.names(agent)
    record(tx, service, Call.local(), attempt, status=status, reason="reuse", reuse=entry.id)


def _was_cured(tx: Transaction, agent: Agent, generation: int) -> bool:
    """Whether a developer has changed its credentials since it had this generation."""
    return bool(tx.one(bool, "developer_changed_since", agent_id=agent.id, generation=generation))
