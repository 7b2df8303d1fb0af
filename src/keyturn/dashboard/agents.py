"""The list of agents: search and filters in the address, pages, and what is done to many."""

from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.manage_agents import get_agent, list_agents
from keyturn.actions.register_agent import create_agent
from keyturn.actions.revoke_agent import revoke_for_developer
from keyturn.core.agent import Agent, AgentStatus, clean_text
from keyturn.core.errors import KeyturnError
from keyturn.dashboard.rendering import page, see, show_pair
from keyturn.dashboard.visits import SignedIn, Visit
from keyturn.problems import status_of

router = APIRouter(prefix="/dashboard/agents")

PAGE_SIZE = 50
DONE = {
    "deleted": "The agent is deleted.",
    "revoked": "Revoked: their credentials are refused everywhere from now on.",
}
STATUSES: dict[str, AgentStatus] = {
    "active": "active",
    "quarantined": "quarantined",
    "revoked": "revoked",
}


@router.get("")
async def show(
    on: SignedIn, q: str = "", status: str = "", cursor: str = "", done: str = ""
) -> Response:
    found = await list_agents(
        on.service,
        on.principal,
        status=STATUSES.get(status),
        search=q or None,
        cursor=cursor or None,
        limit=PAGE_SIZE,
    )
    kept = {name: value for name, value in (("q", q), ("status", status)) if value}
    return page(
        on,
        "agents.html",
        agents=found,
        search=q,
        chosen=status,
        statuses=STATUSES,
        first=not cursor,
        newest=f"?{urlencode(kept)}",
        older=f"?{urlencode({**kept, 'cursor': found.next_cursor})}",
        done=DONE.get(done, ""),
    )


@router.get("/new")
async def ask_for_new(on: SignedIn) -> Response:
    return page(on, "agent_new.html", name="", error="")


@router.post("/new")
async def make(on: SignedIn) -> Response:
    name, with_secret = on.form.text("name"), bool(on.form.text("rotation_secret"))
    try:
        await on.require_password()
        made = await create_agent(
            on.service, on.call, on.principal, name or None, with_secret=with_secret
        )
    except KeyturnError as error:
        told = {"name": name, "error": error.detail}
        return page(on, "agent_new.html", status=status_of(error), **told)
    return show_pair(on, "The new agent's credentials", made.agent_id, made.name, made.pair)


@router.post("/revoke")
async def revoke_many(on: SignedIn) -> Response:
    """Ask first; with `sure`, do it. One after the other: each has an entry of its own."""
    ids = on.form.get("agent", [])[:PAGE_SIZE]
    if not ids:
        return see(on, "/dashboard/agents")
    agents = [await get_agent(on.service, on.principal, agent_id) for agent_id in ids]
    if not on.form.text("sure"):
        return _ask_to_revoke(on, agents)
    try:
        reason = clean_text(on.form.text("reason"), "reason")
        await on.require_password()
    except KeyturnError as error:
        return _ask_to_revoke(on, agents, error)
    for agent in agents:
        await revoke_for_developer(on.service, on.call, on.principal, agent.id, reason)
    return see(on, "/dashboard/agents?done=revoked")


def _ask_to_revoke(on: Visit, agents: list[Agent], error: KeyturnError | None = None) -> Response:
    return page(
        on,
        "agents_revoke.html",
        status=status_of(error) if error else 200,
        agents=agents,
        reason=on.form.text("reason"),
        error=error.detail if error else "",
    )
