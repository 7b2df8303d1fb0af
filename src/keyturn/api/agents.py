"""What a developer does with agents."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from keyturn.actions import manage_agents, register_agent, revoke_agent, rotate_credentials
from keyturn.api.answers import (
    AgentState,
    Credits,
    DevelopersAgent,
    NewAgent,
    NewRotationSecret,
    Rotated,
)
from keyturn.api.context import AgentId, ByDeveloper, On, for_developers
from keyturn.api.pages import DEFAULT_PAGE_SIZE, Cursor, Items, PageSize
from keyturn.api.requests import (
    AgentPatch,
    AgentRequest,
    CreditsRequest,
    NoMembers,
    RevocationRequest,
)
from keyturn.core.agent import AgentStatus, clean_text
from keyturn.core.errors import (
    AgentActive,
    AgentIsRevoked,
    AgentNotFound,
    InsufficientCredits,
    OperatorOnly,
)

router = APIRouter(prefix="/v1/agents", tags=["Agents"])

Search = Annotated[
    str | None, Query(alias="q", max_length=100, description="Part of a name, or an id's start.")
]


@router.get("", summary="List agents", **for_developers())
async def list_agents(
    on: On,
    developer: ByDeveloper,
    status: AgentStatus | None = None,
    search: Search = None,
    cursor: Cursor = None,
    limit: PageSize = DEFAULT_PAGE_SIZE,
) -> Items[DevelopersAgent]:
    """Your agents, newest first; an operator sees everybody's."""
    page = await manage_agents.list_agents(
        on.service, developer, status=status, search=search, cursor=cursor, limit=limit
    )
    prefix = on.service.policy.prefix
    shown = [DevelopersAgent.seen(agent, prefix) for agent in page.items]
    return Items(items=shown, next_cursor=page.next_cursor)


@router.post("", status_code=201, summary="Create an agent", **for_developers())
async def create_agent(
    on: On, developer: ByDeveloper, body: AgentRequest | None = None
) -> NewAgent:
    """A new agent of yours with its credentials, which are shown this once."""
    asked = body or AgentRequest()
    return NewAgent.of(
        await register_agent.create_agent(
            on.service, on.call, developer, asked.name, with_secret=asked.rotation_secret
        )
    )


@router.get("/{agentId}", summary="Look at an agent", **for_developers(AgentNotFound))
async def get_agent(on: On, developer: ByDeveloper, agent_id: AgentId) -> DevelopersAgent:
    """One agent."""
    agent = await manage_agents.get_agent(on.service, developer, agent_id)
    return DevelopersAgent.seen(agent, on.service.policy.prefix)


@router.patch("/{agentId}", summary="Change an agent", **for_developers(AgentNotFound))
async def update_agent(
    on: On, developer: ByDeveloper, agent_id: AgentId, body: AgentPatch
) -> DevelopersAgent:
    """Change the members that are sent, and nothing else."""
    changes = manage_agents.AgentChanges(**body.model_dump(exclude_unset=True))
    agent = await manage_agents.update_agent(on.service, on.call, developer, agent_id, changes)
    return DevelopersAgent.seen(agent, on.service.policy.prefix)


@router.delete(
    "/{agentId}",
    status_code=204,
    summary="Delete an agent",
    response_class=Response,
    **for_developers(AgentNotFound),
)
async def delete_agent(on: On, developer: ByDeveloper, agent_id: AgentId) -> None:
    """Erase the agent and its personal data. The trail keeps its id."""
    await manage_agents.delete_agent(on.service, on.call, developer, agent_id)


@router.post(
    "/{agentId}/rotate-key",
    summary="Rotate an agent's credentials",
    **for_developers(AgentNotFound, AgentIsRevoked),
)
async def rotate_agent(
    on: On, developer: ByDeveloper, agent_id: AgentId, _: NoMembers | None = None
) -> Rotated:
    """The way out when both credentials are compromised. It ends a quarantine."""
    return Rotated.of(
        await rotate_credentials.rotate_for_developer(on.service, on.call, developer, agent_id)
    )


@router.post(
    "/{agentId}/rotation-secret",
    status_code=201,
    summary="Configure a rotation secret",
    **for_developers(AgentNotFound, AgentIsRevoked),
)
async def configure_rotation_secret(
    on: On, developer: ByDeveloper, agent_id: AgentId, _: NoMembers | None = None
) -> NewRotationSecret:
    """A new rotation secret in the place of any there was, shown this once."""
    secret = await manage_agents.configure_rotation_secret(on.service, on.call, developer, agent_id)
    return NewRotationSecret(agent_id=agent_id, rotation_secret=secret.reveal())


@router.delete(
    "/{agentId}/rotation-secret",
    status_code=204,
    summary="Remove the rotation secret",
    response_class=Response,
    **for_developers(AgentNotFound),
)
async def remove_rotation_secret(on: On, developer: ByDeveloper, agent_id: AgentId) -> None:
    """From now on only a developer can rotate this agent."""
    await manage_agents.remove_rotation_secret(on.service, on.call, developer, agent_id)


@router.post("/{agentId}/revoke", summary="Revoke an agent", **for_developers(AgentNotFound))
async def revoke(
    on: On, developer: ByDeveloper, agent_id: AgentId, body: RevocationRequest | None = None
) -> AgentState:
    """Its credentials are refused from now on. Doing it again changes nothing."""
    reason = clean_text(body.reason, "reason") if body else ""
    return AgentState(
        agent_id=await revoke_agent.revoke_for_developer(
            on.service, on.call, developer, agent_id, reason
        )
    )


@router.post(
    "/{agentId}/reinstate",
    summary="Reinstate a revoked agent",
    **for_developers(AgentNotFound, AgentActive),
)
async def reinstate(
    on: On, developer: ByDeveloper, agent_id: AgentId, _: NoMembers | None = None
) -> Rotated:
    """The agent is active again, with new credentials; the old ones stay dead."""
    return Rotated.of(await revoke_agent.reinstate_agent(on.service, on.call, developer, agent_id))


@router.post(
    "/{agentId}/credits",
    summary="Change an agent's credits",
    **for_developers(OperatorOnly, AgentNotFound, InsufficientCredits),
)
async def change_credits(
    on: On, developer: ByDeveloper, agent_id: AgentId, body: CreditsRequest
) -> Credits:
    """Add credits, or take them with a negative amount. The balance never falls below 0."""
    reason = clean_text(body.reason, "reason")
    agent = await manage_agents.change_credits(
        on.service, on.call, developer, agent_id, body.amount, reason
    )
    return Credits(agent_id=agent.id, credit_balance=agent.credit_balance)
