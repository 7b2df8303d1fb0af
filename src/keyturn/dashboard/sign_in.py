"""Getting in and out: the first operator, invitations, signing in, signing out."""

from fastapi import APIRouter
from starlette.responses import Response

from keyturn.actions.invite_developer import accept_invitation
from keyturn.actions.manage_developers import operator_exists
from keyturn.actions.sessions import end_session
from keyturn.actions.set_up import set_up
from keyturn.actions.sign_in import NewSession, sign_in
from keyturn.core.developer import MIN_PASSWORD
from keyturn.core.errors import KeyturnError, TooManySignIns, WrongPassword
from keyturn.core.session import MAX_AGE
from keyturn.dashboard import cookies, flash
from keyturn.dashboard.rendering import local_path, page, see
from keyturn.dashboard.visits import Anybody, SignedIn, Visitor

router = APIRouter()

SIGNED_OUT = "You have signed out."


@router.get("/setup")
async def show_setup(on: Anybody) -> Response:
    return await _setup_page(on)


@router.post("/setup")
async def make_first_operator(on: Anybody) -> Response:
    form = on.form
    try:
        code, email, password = form.text("code"), form.text("email"), form.text("password")
        made = await set_up(on.service, on.call, code, email, password, _former(on))
    except KeyturnError as error:
        return await _setup_page(on, error)
    return _welcome(on, made, "/dashboard")


@router.get("/dashboard/join")
async def show_join(on: Anybody) -> Response:
    return _join_page(on)


@router.post("/dashboard/join")
async def join(on: Anybody) -> Response:
    form = on.form
    try:
        made = await accept_invitation(
            on.service, on.call, form.text("code"), form.text("password"), _former(on)
        )
    except KeyturnError as error:
        return _join_page(on, error)
    return _welcome(on, made, "/dashboard")


@router.get("/dashboard/sign-in")
async def show_sign_in(on: Anybody, next: str = "") -> Response:
    return await _sign_in_page(on, next)


@router.post("/dashboard/sign-in")
async def do_sign_in(on: Anybody) -> Response:
    form = on.form
    device = cookies.read(on.request, cookies.DEVICE)
    try:
        made = await sign_in(
            on.service, on.call, form.text("email"), form.text("password"), device, _former(on)
        )
    except (TooManySignIns, WrongPassword) as error:
        return await _sign_in_page(on, form.text("next"), error=error)
    return _welcome(on, made, local_path(form.text("next")))


@router.post("/dashboard/sign-out")
async def do_sign_out(on: SignedIn) -> Response:
    await end_session(on.service, on.call, on.principal, on.session.id)
    response = see(on, "/dashboard/sign-in")
    flash.leave(on.request, response, "/dashboard/sign-in", SIGNED_OUT)
    cookies.remove(on.request, response, cookies.SESSION)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def keep_session(on: Visitor, response: Response, made: NewSession) -> None:
    """Give the browser its session, and the mark by which it is known again."""
    seconds = MAX_AGE // 1000
    cookies.put(on.request, response, cookies.SESSION, made.credential.reveal(), seconds)
    cookies.put(on.request, response, cookies.DEVICE, made.device, cookies.DEVICE_SECONDS)


def _former(on: Visitor) -> str | None:
    return cookies.read(on.request, cookies.SESSION)


def _welcome(on: Visitor, made: NewSession, path: str) -> Response:
    response = see(on, path)
    keep_session(on, response, made)
    return response


def _join_page(on: Visitor, error: KeyturnError | None = None) -> Response:
    code = on.form.text("code")
    return page(on, "join.html", error=error, code=code, min_password=MIN_PASSWORD)


async def _setup_page(on: Visitor, error: KeyturnError | None = None) -> Response:
    return page(
        on,
        "setup.html",
        closed=await operator_exists(on.service),
        error=error,
        email=on.form.text("email"),
        min_password=MIN_PASSWORD,
    )


async def _sign_in_page(on: Visitor, next: str, *, error: KeyturnError | None = None) -> Response:
    return page(
        on,
        "sign_in.html",
        next=local_path(next),
        error=error,
        email=on.form.text("email"),
        no_operator=not await operator_exists(on.service),
    )
