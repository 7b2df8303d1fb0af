"""A developer looks at, changes and removes agents."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keyturn.actions.authenticate import require_operator
from keyturn.actions.find_agent import confirm, own_agent, refuse_changed, seen_agent
from keyturn.actions.issue_credentials import replace_secret
from keyturn.actions.pages import Page, before
from keyturn.actions.record_audit import record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import MAX_CREDITS, Agent, AgentStatus, OnReuse, clean_metadata, clean_name
from keyturn.core.audit_trail import Action
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import AgentIsRevoked, InsufficientCredits, InvalidRequest, SettingsChanged
from keyturn.core.fence import agent_record, end_record
from keyturn.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class AgentChanges:
    """What to change of an agent; None leaves it as it is."""

    name: str | None = None
    metadata: dict[str, Any] | None = None
    on_reuse: OnReuse | None = None
    rotation_period_days: int | None = None


async def list_agents(
    service: Service,
    principal: Principal,
    *,
    status: AgentStatus | None,
    search: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Agent]:
    """A page of the developer's agents; `search` is part of a name or the start of an id.

    Raises:
        InvalidRequest: the cursor is not one of ours.
        InvalidToken: as `confirm`.
    """
    query = "agents_of_everybody" if principal.operator else "agents_of_developer"
    (start,) = before(cursor)
    values: dict[str, Any] = {"status": status, "before": start, "limit": limit + 1}
    values |= search_patterns(search)
    if not principal.operator:
        values["developer_id"] = principal.developer_id

    def read(tx: Transaction) -> list[Agent]:
        confirm(tx, principal)
        return tx.all(Agent, query, **values)

    found = await service.store.scan(read)
    return Page.of(found, limit, lambda agent: (agent.seq,))


async def get_agent(service: Service, principal: Principal, agent_id: str) -> Agent:
    """One agent. Raises `AgentNotFound`."""
    return await service.store.read(lambda tx: seen_agent(tx, principal, agent_id))


async def get_agents(
    service: Service, principal: Principal, agent_ids: Iterable[str]
) -> list[Agent]:
    """Those of these agents that are there and that the developer may see."""

    def look(tx: Transaction) -> list[Agent]:
        confirm(tx, principal)
        found = [tx.one(Agent, "agent_by_id", id=each) for each in dict.fromkeys(agent_ids)]
        return [agent for agent in found if agent and principal.may_see(agent.developer_id)]

    return await service.store.read(look)


async def update_agent(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    changes: AgentChanges,
    *,
    loaded: Mapping[str, str] | None = None,
) -> Agent:
    """Change what is given, and nothing else.

    With the `marks_of` the agent as it was loaded, what is given and was loaded so is left alone.

    Raises:
        AgentNotFound
        SettingsChanged: somebody else has changed the same since it was loaded.
        InvalidRequest: the name or the metadata.
    """
    columns = _changed_columns(changes)
    async with refusals_recorded(service, call, Action.AGENT_UPDATED, principal) as attempt:

        def update(tx: Transaction) -> Agent:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            kept = {column: getattr(agent, column) for column in _CHANGEABLE}
            new = columns if loaded is None else _chosen(columns, kept, loaded)
            if changed := [name for name, value in new.items() if kept[name] != value]:
                tx.execute("update_agent", id=agent.id, **{**kept, **new})
                record(tx, service, call, attempt, changed=[_CHANGEABLE[name] for name in changed])
            return seen_agent(tx, principal, agent_id)

        return await service.store.write(update, alone=[agent_id])


async def delete_agent(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    *,
    generation: int | None = None,
) -> None:
    """Erase an agent and its personal data; the trail keeps its id.

    Raises:
        AgentNotFound
        ChangedMeanwhile: it is not of this generation.
    """
    async with refusals_recorded(service, call, Action.AGENT_DELETED, principal) as attempt:

        def delete(tx: Transaction) -> None:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            tx.execute("delete_agent", id=agent.id)
            tx.fence(end_record("agent", agent.id))
            record(tx, service, call, attempt)

        await service.store.write(delete, alone=[agent_id])
    await service.store.scrub()


async def configure_rotation_secret(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    *,
    generation: int | None = None,
) -> Credential:
    """Give the agent a new rotation secret in the place of any it had.

    Raises:
        AgentNotFound, AgentIsRevoked
        ChangedMeanwhile: it is not of this generation.
    """
    secret = service.new_credential(Kind.ROTATION_SECRET)
    async with refusals_recorded(
        service, call, Action.ROTATION_SECRET_CONFIGURED, principal
    ) as attempt:

        def configure(tx: Transaction) -> Credential:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            if agent.revoked:
                raise AgentIsRevoked
            replace_secret(tx, service, agent, secret)
            record(tx, service, call, attempt, generation=agent.generation + 1)
            return secret

        return await service.store.write(configure, alone=[agent_id])


async def remove_rotation_secret(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    *,
    generation: int | None = None,
) -> None:
    """Leave the agent without a rotation secret; doing so again changes nothing.

    Raises:
        AgentNotFound
        ChangedMeanwhile: it is not of this generation.
    """
    async with refusals_recorded(
        service, call, Action.ROTATION_SECRET_REMOVED, principal
    ) as attempt:

        def remove(tx: Transaction) -> None:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            tx.fence(agent_record(agent.id, agent.generation, agent.status))
            if agent.secret_mac is not None:
                replace_secret(tx, service, agent, None)
                record(tx, service, call, attempt, generation=agent.generation + 1)

        await service.store.write(remove, alone=[agent_id])


async def change_credits(
    service: Service, call: Call, principal: Principal, agent_id: str, amount: int, reason: str
) -> Agent:
    """Add to or take from the agent's balance, which never falls below 0.

    Raises:
        OperatorOnly, AgentNotFound, InsufficientCredits
        InvalidRequest: the balance would not be an exact integer in JSON.
    """
    async with refusals_recorded(service, call, Action.CREDITS_CHANGED, principal) as attempt:

        def change(tx: Transaction) -> Agent:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            require_operator(principal)
            balance = agent.credit_balance + amount
            if balance < 0:
                raise InsufficientCredits
            if balance > MAX_CREDITS:
                raise InvalidRequest("amount", f"must not take the balance above {MAX_CREDITS}")
            tx.execute("set_credit_balance", id=agent.id, credit_balance=balance)
            record(tx, service, call, attempt, amount=amount, balance=balance, reason=reason)
            return seen_agent(tx, principal, agent_id)

        return await service.store.write(change, alone=[agent_id])


_CHANGEABLE = {
    "name": "name",
    "metadata": "metadata",
    "on_reuse": "onReuse",
    "rotation_period_days": "rotationPeriodDays",
}


def marks_of(agent: Agent) -> dict[str, str]:
    """Short marks by which it is known again whether a setting is what it was."""
    return {column: _mark(getattr(agent, column)) for column in _CHANGEABLE}


def _mark(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:32]


def _chosen(
    columns: dict[str, Any], kept: dict[str, Any], loaded: Mapping[str, str]
) -> dict[str, Any]:
    """What differs from what was loaded. Raises `SettingsChanged`."""
    new = {name: value for name, value in columns.items() if _mark(value) != loaded.get(name)}
    lost = [
        name
        for name, value in new.items()
        if kept[name] != value and _mark(kept[name]) != loaded.get(name)
    ]
    if lost:
        raise SettingsChanged([_CHANGEABLE[name] for name in lost])
    return new


def _changed_columns(changes: AgentChanges) -> dict[str, Any]:
    columns = {
        "name": None if changes.name is None else clean_name(changes.name),
        "metadata": None if changes.metadata is None else clean_metadata(changes.metadata),
        "on_reuse": changes.on_reuse,
        "rotation_period_days": changes.rotation_period_days,
    }
    return {column: value for column, value in columns.items() if value is not None}


def search_patterns(text: str | None) -> dict[str, str | None]:
    """The patterns of LIKE, whose escape is a backslash, for a part of a name or an id's start."""
    if not text:
        return {"name_pattern": None, "id_pattern": None}
    # SQLite ends a pattern at NUL, which is in no name: as what is no character it finds nothing.
    text = text.replace("\0", "\ufffe")
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"name_pattern": f"%{escaped}%", "id_pattern": f"{escaped}%"}
