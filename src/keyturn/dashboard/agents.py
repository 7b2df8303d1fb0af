"""The list of agents, a new one, and what is done to many."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.actions.browse_agents import browse_agents
from keyturn.actions.manage_agents import get_agents
from keyturn.actions.register_agent import create_agent
from keyturn.actions.revoke_agent import revoke_agents
from keyturn.core.agent import clean_text
from keyturn.core.errors import AgentNotFound, InvalidRequest, KeyturnError
from keyturn.dashboard.agent_list import AGES, ORDERS, STATUSES, Asked, place
from keyturn.dashboard.once import once
from keyturn.dashboard.rendering import page, see_done, show_pair
from keyturn.dashboard.visits import SignedIn, Visit, whole_number

router = APIRouter(prefix="/dashboard/agents")

PAGE_SIZE = 50
MAX_PLACE = 10**9
REVOKED = "Revoked: their credentials are refused everywhere from now on."
REVOKED_SOME = "Some of them were not there any more. All others are revoked."
NONE_CHOSEN = "No agent was chosen, so nothing was done."
AskedFor = Annotated[Asked, Depends()]


@router.get("")
async def show(
    on: SignedIn,
    asked: AskedFor,
    cursor: str = "",
    after: str = "0",
    choose: str = "",
) -> Response:
    try:
        shown = await _shown(on, asked, cursor, after)
    except InvalidRequest as error:
        return page(on, "agents_unclear.html", error=error)
    return page(on, "agents.html", choose_all=bool(choose), **shown)


@router.get("/new")
async def ask_for_new(on: SignedIn) -> Response:
    return page(on, "agent_new.html", name="", with_secret=True)


@router.post("/new")
async def make(on: SignedIn) -> Response:
    name, with_secret = on.form.text("name"), bool(on.form.text("rotation_secret"))
    try:
        await on.require_password()
        await once(on)
        made = await create_agent(
            on.service, on.call, on.principal, name or None, with_secret=with_secret
        )
    except KeyturnError as error:
        return page(on, "agent_new.html", error=error, name=name, with_secret=with_secret)
    return show_pair(on, "The new agent's credentials", made.agent_id, made.name, made.pair)


@router.post("/revoke")
async def revoke_many(on: SignedIn, asked: AskedFor) -> Response:
    """Ask first; with `sure`, do it."""
    ids = on.form.get("agent", [])
    if not ids:
        return see_done(on, asked.address(), NONE_CHOSEN)
    if not on.form.text("sure"):
        return await _ask_to_revoke(on, asked, ids)
    try:
        return see_done(on, asked.address(), await _revoke(on, ids))
    except KeyturnError as error:
        return await _ask_to_revoke(on, asked, ids, error)


async def _shown(on: Visit, asked: Asked, cursor: str, after: str) -> dict[str, Any]:
    """What the page shows of the list. Raises `InvalidRequest`."""
    before = whole_number(after, "after", 0, MAX_PLACE) if cursor else 0
    browsed = await browse_agents(
        on.service, on.principal, asked.chosen, asked.order, cursor=cursor or None, limit=PAGE_SIZE
    )
    owner = ""
    if on.principal.operator and asked.owner:
        if asked.owner not in browsed.owners:
            raise InvalidRequest("owner", "there is no such developer")
        owner = browsed.owners[asked.owner] or "the built-in owner"
    following = {"cursor": browsed.page.next_cursor, "after": before + PAGE_SIZE}
    here = {"cursor": cursor, "after": before}
    return {
        "asked": asked,
        "agents": browsed.page.items,
        "owners": browsed.owners,
        "owner": owner,
        "told": asked.told(owner, everybody=on.principal.operator),
        "place": place(before, browsed),
        "first": not cursor,
        "following": asked.address(**following) if browsed.page.next_cursor else "",
        "all_chosen": asked.address(**here, choose="all"),
        "statuses": STATUSES,
        "ages": AGES,
        "orders": ORDERS,
        "registration": on.service.policy.registration,
    }


async def _revoke(on: Visit, ids: list[str]) -> str:
    """Revoke those that are there, and say what was done. Raises `KeyturnError`."""
    reason = clean_text(on.form.text("reason"), "reason")
    await on.require_password()
    outcomes = await revoke_agents(on.service, on.call, on.principal, ids, reason)
    found = {outcome != "not_found" for outcome in outcomes.values()}
    if found == {False}:
        raise AgentNotFound
    return REVOKED if found == {True} else REVOKED_SOME


async def _ask_to_revoke(
    on: Visit, asked: Asked, ids: list[str], error: KeyturnError | None = None
) -> Response:
    agents = await get_agents(on.service, on.principal, ids)
    if not agents:
        raise AgentNotFound
    return page(
        on,
        "agents_revoke.html",
        agents=agents,
        asked=asked,
        reason=on.form.text("reason"),
        error=error,
    )
