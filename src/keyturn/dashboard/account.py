"""A developer's own account: the password, and where they are signed in."""

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.sessions import (
    change_password,
    end_other_sessions,
    end_session,
    list_sessions,
)
from keyturn.core.developer import MIN_PASSWORD
from keyturn.core.errors import KeyturnError, TokenNotFound
from keyturn.dashboard.rendering import page, see_done
from keyturn.dashboard.sign_in import keep_session
from keyturn.dashboard.visits import SignedIn, Visit

router = APIRouter(prefix="/dashboard/account")

ENDED_BEFORE = "There is no such session: it may have ended already."
PASSWORD_CHANGED = "Your password has changed. Every other session of yours has ended."


@router.get("")
async def show(on: SignedIn) -> Response:
    return await _account_page(on)


@router.post("/password")
async def save_password(on: SignedIn) -> Response:
    current, new = on.form.text("password"), on.form.text("new")
    try:
        made = await change_password(on.service, on.call, on.session, current, new)
    except KeyturnError as error:
        return await _account_page(on, error=error)
    response = see_done(on, "/dashboard/account", PASSWORD_CHANGED, made.session.id)
    keep_session(on, response, made)
    return response


@router.post("/sessions/end-others")
async def end_others(on: SignedIn) -> Response:
    await end_other_sessions(on.service, on.call, on.principal)
    return see_done(on, "/dashboard/account", "Every other session of yours has ended.")


@router.post("/sessions/{session_id}/end")
async def end_one(on: SignedIn, session_id: str) -> Response:
    try:
        await end_session(on.service, on.call, on.principal, session_id)
    except TokenNotFound:
        return see_done(on, "/dashboard/account", ENDED_BEFORE)
    return see_done(on, "/dashboard/account", "That session has ended.")


async def _account_page(on: Visit, *, error: KeyturnError | None = None) -> Response:
    return page(
        on,
        "account.html",
        sessions=await list_sessions(on.service, on.principal),
        error=error,
        min_password=MIN_PASSWORD,
    )
