"""A copy of the store becomes the store again, and what was retired since stays retired."""

from keyturn.actions.guard_fence import kept_marks
from keyturn.actions.guard_move import stay
from keyturn.actions.issue_credentials import new_pair, pair_columns
from keyturn.actions.record_audit import Attempt, record
from keyturn.actions.retire_credentials import retire_pair
from keyturn.actions.revoke_agent import end_agent
from keyturn.actions.service import Call, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import COMMAND_LINE, Action
from keyturn.core.credential import Kind
from keyturn.core.fence import STANDINGS, Mark, Marks, Subject, behind
from keyturn.core.token import Token
from keyturn.storage.store import Transaction


async def restore_store(service: Service, fenced: Marks | None, *, abandon: bool = False) -> int:
    """Retire again what the fence says was retired; how much that was.

    All in one transaction with its entries. `abandon` lets the store forget that it had a fence.

    Raises:
        ServedElsewhere
    """

    def restore(tx: Transaction) -> int:
        stay(tx)
        older = behind(fenced or {}, kept_marks(tx))
        for subject, mark in older.items():
            _RETIRE[subject.kind](tx, service, subject, mark)
        details = {"abandonedFence": True} if abandon else {}
        if abandon:
            tx.execute("set_fenced", fenced=False)
        attempt = Attempt(Action.STORE_RESTORED, COMMAND_LINE)
        record(tx, service, Call.local(), attempt, retiredAgain=len(older), **details)
        return len(older)

    return await service.store.write(restore)


def _retire_agent(tx: Transaction, service: Service, subject: Subject, mark: Mark) -> None:
    if mark.ended:
        _record(tx, service, Action.AGENT_DELETED, _agent(tx, subject))
        tx.execute("delete_agent", id=subject.id)
        return
    agent = _agent(tx, subject)
    if agent.generation < mark.number:
        _overtake(tx, service, agent, mark.number)
        agent = _agent(tx, subject)
    if STANDINGS.index(agent.status) < mark.standing:
        status = STANDINGS[mark.standing]
        if status == "revoked":
            end_agent(tx, agent)
            _record(tx, service, Action.AGENT_REVOKED, agent)
        else:
            tx.execute("quarantine_agent", id=agent.id)
            _record(tx, service, Action.AGENT_UPDATED, agent, status=status)


def _overtake(tx: Transaction, service: Service, agent: Agent, generation: int) -> None:
    """Give it credentials that nobody has ever seen, nor will: those it has now are lost."""
    unseen = pair_columns(service, new_pair(service).fitting(agent))
    now = service.now()
    tx.execute("overtake_agent", id=agent.id, generation=generation, now=now, **unseen)
    retire_pair(tx, service, agent, None)
    _record(tx, service, Action.CREDENTIAL_FENCED, agent, generation=generation)


def _retire_token(tx: Transaction, service: Service, subject: Subject, mark: Mark) -> None:
    if not mark.ended:
        tx.execute("overtake_token", id=subject.id, uses=mark.number)
        return
    token = tx.one(Token, "token_by_id", id=subject.id)
    tx.execute("delete_token", id=subject.id)
    attempt = Attempt(Action.TOKEN_DELETED, COMMAND_LINE)
    kind = Kind(token.kind).name.lower() if token else None
    attempt.developer_id = token.developer_id if token else None
    details = {"tokenId": subject.id, "kind": kind, "reason": "fence"}
    record(tx, service, Call.local(), attempt, **details)


def _disable_developer(tx: Transaction, service: Service, subject: Subject, _mark: Mark) -> None:
    tx.execute("disable_developer", id=subject.id)
    attempt = Attempt(Action.DEVELOPER_DISABLED, COMMAND_LINE, developer_id=subject.id)
    record(tx, service, Call.local(), attempt, reason="fence")


_RETIRE = {"agent": _retire_agent, "token": _retire_token, "developer": _disable_developer}


def _agent(tx: Transaction, subject: Subject) -> Agent:
    agent = tx.one(Agent, "agent_by_id", id=subject.id)
    if agent is None:
        raise LookupError("an agent that was just read")
    return agent


def _record(
    tx: Transaction, service: Service, action: Action, agent: Agent, **details: object
) -> None:
    attempt = Attempt(action, COMMAND_LINE)
    attempt.names(agent)
    record(tx, service, Call.local(), attempt, reason="fence", **details)
