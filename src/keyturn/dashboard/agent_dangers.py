"""What can't be taken back of an agent: asked for on a page of its own, with the password."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.manage_agents import (
    configure_rotation_secret,
    delete_agent,
    get_agent,
    remove_rotation_secret,
)
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer
from keyturn.actions.rotate_credentials import rotate_for_developer
from keyturn.core.agent import Agent, clean_text
from keyturn.core.errors import ChangedMeanwhile, KeyturnError
from keyturn.dashboard.rendering import page, see_done, show_once, show_pair
from keyturn.dashboard.visits import SignedIn, Visit
from keyturn.problems import NotFound

router = APIRouter(prefix="/dashboard/agents/{agent_id}/change")

REVOKED = "Revoked: its credentials are refused everywhere from now on."
SECRET_REMOVED = "The rotation secret is removed: only a developer can rotate this agent."


@dataclass(frozen=True, slots=True)
class Danger:
    """One of them: what its page says, and what it does; its answer may show credentials."""

    heading: str
    consequences: tuple[str, ...]
    button: str
    do: Callable[[Visit, Agent, str], Awaitable[Response]]
    asks_reason: bool = False
    destroys: bool = True


async def _rotate(on: Visit, agent: Agent, _reason: str) -> Response:
    issued = await rotate_for_developer(
        on.service, on.call, on.principal, agent.id, generation=agent.generation
    )
    return show_pair(on, "Rotated: the new credentials", agent.id, agent.name, issued.pair)


async def _reinstate(on: Visit, agent: Agent, reason: str) -> Response:
    issued = await reinstate_agent(
        on.service, on.call, on.principal, agent.id, reason, generation=agent.generation
    )
    return show_pair(on, "Reinstated: the new credentials", agent.id, agent.name, issued.pair)


async def _configure_secret(on: Visit, agent: Agent, _reason: str) -> Response:
    secret = await configure_rotation_secret(
        on.service, on.call, on.principal, agent.id, generation=agent.generation
    )
    path = f"/dashboard/agents/{agent.id}"
    return show_once(on, "The new rotation secret", path, {"Rotation secret": secret}, agent.name)


async def _remove_secret(on: Visit, agent: Agent, _reason: str) -> Response:
    await remove_rotation_secret(
        on.service, on.call, on.principal, agent.id, generation=agent.generation
    )
    return see_done(on, f"/dashboard/agents/{agent.id}", SECRET_REMOVED)


async def _revoke(on: Visit, agent: Agent, reason: str) -> Response:
    await revoke_for_developer(
        on.service, on.call, on.principal, agent.id, reason, generation=agent.generation
    )
    return see_done(on, f"/dashboard/agents/{agent.id}", REVOKED)


async def _delete(on: Visit, agent: Agent, _reason: str) -> Response:
    await delete_agent(on.service, on.call, on.principal, agent.id, generation=agent.generation)
    return see_done(on, "/dashboard/agents", "The agent is deleted.")


DANGERS = {
    "rotate": Danger(
        "Rotate the credentials",
        (
            "The API key, and the rotation secret where there is one, are refused at once.",
            "You see the new ones once, and hand them to the agent yourself.",
            "A quarantine ends.",
        ),
        "Rotate now",
        _rotate,
        destroys=False,
    ),
    "rotation-secret": Danger(
        "Configure a rotation secret",
        (
            "The agent gets a new rotation secret, which you see once. Any it had is refused.",
            "Its API key stays as it is.",
        ),
        "Make a new secret",
        _configure_secret,
        destroys=False,
    ),
    "remove-secret": Danger(
        "Remove the rotation secret",
        (
            "The agent can't rotate itself any more: only a developer can.",
            "Its API key stays as it is.",
        ),
        "Remove the secret",
        _remove_secret,
    ),
    "revoke": Danger(
        "Revoke this agent",
        (
            "Its API key and rotation secret are refused everywhere, at once.",
            "You can reinstate it later, with new credentials. What it holds now stays dead.",
        ),
        "Revoke it",
        _revoke,
        asks_reason=True,
    ),
    "reinstate": Danger(
        "Reinstate this agent",
        (
            "It is active again with new credentials, which you see once and hand to it.",
            "What it held before stays dead.",
        ),
        "Reinstate it",
        _reinstate,
        asks_reason=True,
        destroys=False,
    ),
    "delete": Danger(
        "Delete this agent",
        (
            "The agent and all that is kept of it are erased. Nothing brings it back.",
            "The audit trail keeps its id and what happened, not its name.",
            "To refuse it and keep it, revoke it instead.",
        ),
        "Delete it for good",
        _delete,
    ),
}


@router.get("/{danger}")
async def ask(on: SignedIn, agent_id: str, danger: str) -> Response:
    agent = await get_agent(on.service, on.principal, agent_id)
    return _ask(on, _known(danger), agent)


@router.post("/{danger}")
async def do(on: SignedIn, agent_id: str, danger: str) -> Response:
    asked = _known(danger)
    agent = await get_agent(on.service, on.principal, agent_id)
    try:
        reason = await _agreed(on, agent)
        return await asked.do(on, agent, reason)
    except ChangedMeanwhile as error:
        now = await get_agent(on.service, on.principal, agent_id)
        return _ask(on, asked, now, error)
    except KeyturnError as error:
        # With the generation that was shown: what has changed since is not agreed to unseen.
        return _ask(on, asked, agent, error)


def _known(danger: str) -> Danger:
    if danger not in DANGERS:
        raise NotFound
    return DANGERS[danger]


async def _agreed(on: Visit, agent: Agent) -> str:
    """The reason that was typed, once all that is asked for is given. Raises `KeyturnError`."""
    if on.form.text("generation") != str(agent.generation):
        raise ChangedMeanwhile
    reason = clean_text(on.form.text("reason"), "reason")
    await on.require_password()
    return reason


def _ask(on: Visit, danger: Danger, agent: Agent, error: KeyturnError | None = None) -> Response:
    return page(on, "agent_danger.html", danger=danger, agent=agent, error=error)
