"""Revocation and its way back: a revoked agent's credentials are refused everywhere."""

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from keyturn.actions.find_agent import own_agent, refuse_changed
from keyturn.actions.issue_credentials import Issued, new_pair, swap
from keyturn.actions.notice_reuse import MAY_BE_REUSE, notice_reuse
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.rotate_credentials import PairProof, Presented, refuse
from keyturn.actions.service import REVOCATION_LIMIT, Call, Principal, Service
from keyturn.actions.take_attempt import take_own_attempt
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.errors import AgentActive, AgentNotFound, InvalidRequest, TooManyAttempts
from keyturn.core.fence import agent_record
from keyturn.core.rotation import REVOCATION_ROWS
from keyturn.storage.store import Transaction

MAX_AT_ONCE = 100
RevokeOutcome = Literal["revoked", "already_revoked", "not_found"]


def end_agent(tx: Transaction, agent: Agent) -> bool:
    """Revoke it, and the last answer with new credentials too; whether it was not revoked yet."""
    tx.execute("end_receipt", agent_id=agent.id, generation=agent.generation)
    # Also where another process has revoked it and not marked it yet: this will be answered.
    tx.fence(agent_record(agent.id, agent.generation, "revoked"))
    return tx.execute("revoke_agent", id=agent.id) == 1


async def revoke_self(service: Service, call: Call, presented: Presented) -> str:
    """An agent that knows it was stolen from ends itself; the id of the agent.

    Raises:
        KeyturnError: the first row of the rotation's table that applies.
        TooManyAttempts: 10 attempts from this address in 15 minutes.
    """
    refuse(REVOCATION_ROWS, presented.facts, service)
    async with refusals_recorded(service, call, Action.AGENT_REVOKED) as attempt:
        if not await take_own_attempt(service, REVOCATION_LIMIT, call):
            raise TooManyAttempts
        prove = PairProof(service, presented, attempt, REVOCATION_ROWS)

        def revoke(tx: Transaction) -> str:
            agent = prove(tx)
            end_agent(tx, agent)
            use = {"at": service.now(), "address": call.address.text}
            tx.execute("note_agent_used", id=agent.id, generation=agent.generation, **use)
            record(tx, service, call, replace(attempt, actor=Actor("agent", agent.id)))
            return agent.id

        try:
            proven = await prove.now()
            return await service.store.write(revoke, alone=[proven.id])
        except MAY_BE_REUSE:
            await notice_reuse(service, call, prove.shown)
            raise


async def revoke_for_developer(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    reason: str,
    *,
    generation: int | None = None,
) -> str:
    """A developer revokes an agent; revoking it again changes nothing. The id of the agent.

    Raises:
        AgentNotFound
        ChangedMeanwhile: it is not of this generation.
    """
    async with refusals_recorded(service, call, Action.AGENT_REVOKED, principal) as attempt:

        def revoke(tx: Transaction) -> str:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            _end_for_developer(tx, service, call, attempt, agent, reason)
            return agent.id

        return await service.store.write(revoke, alone=[agent_id])


async def revoke_agents(
    service: Service, call: Call, principal: Principal, agent_ids: Iterable[str], reason: str
) -> dict[str, RevokeOutcome]:
    """A developer revokes many agents in one change; what came of it, by id.

    Those that are gone, or another developer's, are refused and the others revoked all the same.

    Raises:
        InvalidRequest: they are over 100.
        InvalidToken: as `own_agent`.
    """
    ids = list(dict.fromkeys(agent_ids))
    if len(ids) > MAX_AT_ONCE:
        raise InvalidRequest("agents", f"must be at most {MAX_AT_ONCE}")

    def revoke(tx: Transaction) -> dict[str, RevokeOutcome]:
        return {each: _revoke_one(tx, service, call, principal, each, reason) for each in ids}

    outcomes = await service.store.write(revoke, alone=ids)
    for outcome in outcomes.values():
        if outcome == "not_found":
            with contextlib.suppress(AgentNotFound):
                async with refusals_recorded(service, call, Action.AGENT_REVOKED, principal):
                    raise AgentNotFound
    return outcomes


def _revoke_one(
    tx: Transaction, service: Service, call: Call, principal: Principal, agent_id: str, reason: str
) -> RevokeOutcome:
    """Revoke an agent of the developer's in a transaction of theirs."""
    try:
        agent = own_agent(tx, principal, agent_id)
    except AgentNotFound:
        return "not_found"
    attempt = Attempt(Action.AGENT_REVOKED, principal.actor)
    attempt.names(agent)
    ended = _end_for_developer(tx, service, call, attempt, agent, reason)
    return "revoked" if ended else "already_revoked"


def _end_for_developer(
    tx: Transaction, service: Service, call: Call, attempt: Attempt, agent: Agent, reason: str
) -> bool:
    ended = end_agent(tx, agent)
    if ended:
        record(tx, service, call, attempt, **({"reason": reason} if reason else {}))
    return ended


async def reinstate_agent(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    reason: str = "",
    *,
    generation: int | None = None,
) -> Issued:
    """A developer gives a revoked agent a new pair; what it had stays dead.

    Raises:
        AgentNotFound, AgentActive
        ChangedMeanwhile: it is not of this generation.
    """
    async with refusals_recorded(service, call, Action.AGENT_REINSTATED, principal) as attempt:
        made = new_pair(service)

        def reinstate(tx: Transaction) -> Issued:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            if not agent.revoked:
                raise AgentActive
            pair = made.fitting(agent)
            if not swap(tx, service, agent, pair):
                raise AgentNotFound
            why = {"reason": reason} if reason else {}
            record(tx, service, call, attempt, generation=agent.generation + 1, **why)
            return Issued(agent.id, agent.name, pair)

        return await service.store.write(reinstate, alone=[agent_id])
