"""Tokens of services, of enrolment and of developers: made and shown once, listed masked."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.manage_tokens import (
    MAX_ENROLMENT_LIFETIME,
    NewToken,
    create_token,
    delete_token,
    enrolment_expiry,
    get_token,
    list_tokens,
)
from keyturn.core.agent import DAY, clean_name
from keyturn.core.credential import Kind
from keyturn.core.errors import KeyturnError, TokenNotFound
from keyturn.dashboard.once import once
from keyturn.dashboard.rendering import page, see_done, show_once
from keyturn.dashboard.visits import SignedIn, Visit, whole_number
from keyturn.problems import NotFound

router = APIRouter(prefix="/dashboard/tokens")

PAGE_SIZE = 50
MAX_USES = 1_000_000
DELETED = "The token is deleted: it is refused from now on."
DELETED_BEFORE = "There is no such token here: it may have been deleted already."


@dataclass(frozen=True, slots=True)
class Sort:
    """One kind of token, as people know it."""

    kind: Kind
    name: str
    use: str


SORTS = {
    "service": Sort(
        Kind.SERVICE_TOKEN,
        "Service token",
        "For a service that asks Keyturn whose key it was shown. It sees your agents alone; "
        "an operator's sees all.",
    ),
    "enrolment": Sort(
        Kind.ENROLMENT_TOKEN,
        "Enrolment token",
        "For agents that register themselves: they become yours.",
    ),
    "developer": Sort(
        Kind.DEVELOPER_TOKEN,
        "Developer token",
        "For programs that do over the API what you do here, with all of your rights.",
    ),
}


@router.get("")
async def show(on: SignedIn, kind: str = "service", cursor: str = "") -> Response:
    return await _tokens_page(on, kind, cursor=cursor)


@router.post("")
async def make(on: SignedIn) -> Response:
    kind = on.form.text("kind")
    sort = _known(kind)
    try:
        return await _make(on, kind, sort)
    except KeyturnError as error:
        return await _tokens_page(on, kind, error=error)


@router.get("/{kind}/{token_id}/delete")
async def ask_to_delete(on: SignedIn, kind: str, token_id: str) -> Response:
    return await _ask_to_delete(on, kind, token_id)


@router.post("/{kind}/{token_id}/delete")
async def delete(on: SignedIn, kind: str, token_id: str) -> Response:
    sort = _known(kind)
    try:
        await on.require_password()
        await delete_token(on.service, on.call, on.principal, sort.kind, token_id)
    except TokenNotFound:
        return see_done(on, f"/dashboard/tokens?kind={kind}", DELETED_BEFORE)
    except KeyturnError as error:
        return await _ask_to_delete(on, kind, token_id, error)
    return see_done(on, f"/dashboard/tokens?kind={kind}", DELETED)


async def _make(on: Visit, kind: str, sort: Sort) -> Response:
    """Make the token and show it. Raises `KeyturnError`."""
    new = _new_token(on, sort)
    await on.require_password()
    await once(on)
    token, credential = await create_token(on.service, on.call, on.principal, new)
    title, back = f"The new {sort.name.lower()}", f"/dashboard/tokens?kind={kind}"
    return show_once(on, title, back, {sort.name: credential}, token.name)


async def _ask_to_delete(
    on: Visit, kind: str, token_id: str, error: KeyturnError | None = None
) -> Response:
    sort = _known(kind)
    token = await get_token(on.service, on.principal, sort.kind, token_id)
    prefix = on.service.policy.prefix
    return page(
        on, "token_delete.html", error=error, sort=sort, kind=kind, token=token, prefix=prefix
    )


async def _tokens_page(
    on: Visit, kind: str, *, cursor: str = "", error: KeyturnError | None = None
) -> Response:
    sort = _known(kind)
    found = await list_tokens(
        on.service, on.principal, sort.kind, cursor=cursor or None, limit=PAGE_SIZE
    )
    return page(
        on,
        "tokens.html",
        kind=kind,
        sorts=SORTS,
        tokens=found,
        first=not cursor,
        error=error,
        prefix=on.service.policy.prefix,
        max_days=MAX_ENROLMENT_LIFETIME // DAY,
    )


def _new_token(on: Visit, sort: Sort) -> NewToken:
    name = clean_name(on.form.text("name"))
    owner = on.principal.developer_id
    if sort.kind is not Kind.ENROLMENT_TOKEN:
        return NewToken(sort.kind, name, owner)
    uses = whole_number(on.form.text("max_uses"), "max_uses", 1, MAX_USES)
    days = whole_number(on.form.text("days"), "days", 1, MAX_ENROLMENT_LIFETIME // DAY)
    expiry = enrolment_expiry(on.service, on.service.now() + days * DAY - 1)
    return NewToken(sort.kind, name, owner, max_uses=uses, expires_at=expiry)


def _known(kind: str) -> Sort:
    if kind not in SORTS:
        raise NotFound
    return SORTS[kind]
