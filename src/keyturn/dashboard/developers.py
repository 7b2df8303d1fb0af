"""Operators see who governs this installation, invite others, and disable them."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.authenticate import require_operator
from keyturn.actions.invite_developer import Invited, invite, invite_again, open_invitations
from keyturn.actions.manage_developers import (
    disable_developer,
    get_developer,
    list_developers,
    what_would_end,
)
from keyturn.actions.manage_tokens import delete_token
from keyturn.core.credential import Kind
from keyturn.core.errors import KeyturnError, TokenNotFound
from keyturn.dashboard.rendering import page, see_done, show_once
from keyturn.dashboard.visits import SignedIn, Visit
from keyturn.problems import NotFound

router = APIRouter(prefix="/dashboard/developers")

PAGE_SIZE = 50
DISABLED = "Disabled: their tokens, sessions and codes are dead."
WITHDRAWN = "The code is withdrawn: nobody can join with it any more."
WITHDRAWN_BEFORE = "That code was used, replaced or withdrawn already."


@router.get("")
async def show(on: SignedIn, cursor: str = "") -> Response:
    return await _developers_page(on, cursor=cursor)


@router.post("")
async def invite_one(on: SignedIn) -> Response:
    email, operator = on.form.text("email"), bool(on.form.text("operator"))
    try:
        await on.require_password()
        invited = await invite(on.service, on.call, on.principal, email, operator=operator)
    except KeyturnError as error:
        return await _developers_page(on, error=error)
    return _show_code(on, invited, "The code to join")


@router.post("/codes/{code_id}/withdraw")
async def withdraw(on: SignedIn, code_id: str) -> Response:
    require_operator(on.principal)
    try:
        await delete_token(on.service, on.call, on.principal, Kind.INVITATION, code_id)
    except TokenNotFound:
        return see_done(on, "/dashboard/developers", WITHDRAWN_BEFORE)
    return see_done(on, "/dashboard/developers", WITHDRAWN)


@router.get("/{developer_id}/{change}")
async def ask(on: SignedIn, developer_id: str, change: str) -> Response:
    return await _ask(on, developer_id, change)


@router.post("/{developer_id}/{change}")
async def do(on: SignedIn, developer_id: str, change: str) -> Response:
    make = _known(change)
    try:
        await on.require_password()
        return await make(on, developer_id)
    except KeyturnError as error:
        return await _ask(on, developer_id, change, error)


async def _disable(on: Visit, developer_id: str) -> Response:
    await disable_developer(on.service, on.call, on.principal, developer_id)
    return see_done(on, "/dashboard/developers", DISABLED)


async def _give_new_code(on: Visit, developer_id: str) -> Response:
    invited = await invite_again(on.service, on.call, on.principal, developer_id)
    return _show_code(on, invited, "The new code")


_CHANGES = {"disable": _disable, "code": _give_new_code}


def _show_code(on: Visit, invited: Invited, heading: str) -> Response:
    email = invited.developer.email or ""
    return show_once(on, heading, "/dashboard/developers", {"Code": invited.code}, email)


async def _ask(
    on: Visit, developer_id: str, change: str, error: KeyturnError | None = None
) -> Response:
    _known(change)
    developer = await get_developer(on.service, on.principal, developer_id)
    ending = None
    if change == "disable":
        ending = await what_would_end(on.service, on.principal, developer_id)
    return page(
        on,
        "developer_change.html",
        error=error,
        developer=developer,
        change=change,
        ending=ending,
    )


async def _developers_page(
    on: Visit, *, cursor: str = "", error: KeyturnError | None = None
) -> Response:
    found = await list_developers(on.service, on.principal, cursor=cursor or None, limit=PAGE_SIZE)
    return page(
        on,
        "developers.html",
        developers=found,
        codes=await open_invitations(on.service, on.principal),
        first=not cursor,
        error=error,
    )


def _known(change: str) -> Callable[[Visit, str], Awaitable[Response]]:
    if change not in _CHANGES:
        raise NotFound
    return _CHANGES[change]
