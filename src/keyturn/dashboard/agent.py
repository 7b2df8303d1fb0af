"""One agent: its facts, its generations as a picture, its entries, and its settings."""

import json
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.agent_history import agent_history
from keyturn.actions.manage_agents import AgentChanges, change_credits, marks_of, update_agent
from keyturn.core.agent import MAX_CHANGE, MAX_ROTATION_PERIOD_DAYS, OnReuse, clean_text
from keyturn.core.errors import InvalidRequest, KeyturnError, SettingsChanged
from keyturn.dashboard.generations_chart import (
    BEGINNINGS,
    UNKNOWN,
    generations_chart,
    happenings,
    legend,
)
from keyturn.dashboard.once import once
from keyturn.dashboard.rendering import page, see_done
from keyturn.dashboard.visits import Form, SignedIn, Visit, whole_number
from keyturn.json_body import DuplicateMember, MalformedJson, read_json

router = APIRouter(prefix="/dashboard/agents/{agent_id}")

_LOADED = "loaded_"
_ON_REUSE: dict[str, OnReuse] = {
    "alert": "alert",
    "quarantine": "quarantine",
    "revoke": "revoke",
}


@router.get("")
async def show(on: SignedIn, agent_id: str) -> Response:
    return await _agent_page(on, agent_id)


@router.post("/settings")
async def save_settings(on: SignedIn, agent_id: str) -> Response:
    try:
        changes, loaded = _changes(on.form), _loaded(on.form)
        await update_agent(on.service, on.call, on.principal, agent_id, changes, loaded=loaded)
    except (InvalidRequest, SettingsChanged) as error:
        return await _agent_page(on, agent_id, error=error)
    return see_done(on, f"/dashboard/agents/{agent_id}", "Saved.")


@router.post("/credits")
async def save_credits(on: SignedIn, agent_id: str) -> Response:
    try:
        amount = whole_number(on.form.text("amount"), "amount", -MAX_CHANGE, MAX_CHANGE)
        reason = clean_text(on.form.text("reason"), "reason")
        await once(on)
        await change_credits(on.service, on.call, on.principal, agent_id, amount, reason)
    except KeyturnError as error:
        return await _agent_page(on, agent_id, error=error)
    return see_done(on, f"/dashboard/agents/{agent_id}", "The credits have changed.")


async def _agent_page(on: Visit, agent_id: str, *, error: KeyturnError | None = None) -> Response:
    history = await agent_history(on.service, on.principal, agent_id)
    agent, entries = history.agent, history.entries
    since = entries[-1].at if entries else agent.key_created_at
    marks = happenings(mark for each in history.generations for mark in each.marks)
    # Of settings that were overtaken nothing is shown again: others are there now.
    sent = Form() if isinstance(error, SettingsChanged) else on.form
    return page(
        on,
        "agent.html",
        agent=agent,
        history=history,
        picture=generations_chart(history.generations, since, on.service.now()),
        legend=legend(history.generations),
        marks={mark.kind + mark.colour: mark for mark in marks}.values(),
        beginnings=BEGINNINGS,
        unknown=UNKNOWN,
        happenings=happenings,
        metadata=json.loads(agent.metadata),
        masked_key=f"{on.service.policy.prefix}_ak_…{agent.key_last4}",
        typed=sent.typed,
        loaded={name: sent.text(_LOADED + name) or mark for name, mark in marks_of(agent).items()},
        error=error,
    )


def _changes(form: Form) -> AgentChanges:
    on_reuse = _ON_REUSE.get(form.text("on_reuse"))
    if on_reuse is None:
        raise InvalidRequest("on_reuse", "must be alert, quarantine or revoke")
    return AgentChanges(
        name=form.text("name"),
        metadata=_json_object(form.text("metadata")),
        on_reuse=on_reuse,
        rotation_period_days=whole_number(
            form.text("rotation_period_days"), "rotation_period_days", 1, MAX_ROTATION_PERIOD_DAYS
        ),
    )


def _loaded(form: Form) -> dict[str, str]:
    """The marks of the settings as the form was made from them."""
    return {
        name.removeprefix(_LOADED): form.text(name) for name in form if name.startswith(_LOADED)
    }


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = read_json((text or "{}").encode())
    except (DuplicateMember, MalformedJson):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("metadata", 'must be a JSON object, such as {"team": "research"}')
    return value
