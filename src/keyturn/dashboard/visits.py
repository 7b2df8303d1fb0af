"""Who visits a page, and what they have sent: sessions, forms, and protection from forgery."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs

import structlog
from fastapi import Depends, Request

from keyturn.actions.service import CALL, Call, Principal, Service
from keyturn.actions.sessions import confirm_password, principal_of
from keyturn.actions.sign_in import authenticate_session
from keyturn.core.credential import redact
from keyturn.core.errors import InvalidRequest
from keyturn.core.session import Session
from keyturn.dashboard import cookies
from keyturn.problems import ForeignOrigin, Forged, PasswordNeeded

MAX_FIELDS = 150
MAX_ORIGIN = 300

_log = structlog.get_logger()


class Form(dict[str, list[str]]):
    """The fields of a form that was sent."""

    def text(self, name: str) -> str:
        """The field's value, empty where it was left out."""
        return self.get(name, [""])[0]

    @property
    def typed(self) -> dict[str, str]:
        """What a refused form shows again; a credential that was typed into it is masked."""
        return {name: redact(self.text(name)) for name in self}


@dataclass(frozen=True, slots=True)
class Visitor:
    """A request of somebody who need not have signed in."""

    request: Request
    service: Service
    call: Call
    form: Form = field(repr=False)

    @property
    def public_url(self) -> str:
        url: str = self.request.app.state.public_url
        return url


@dataclass(frozen=True, slots=True)
class Visit(Visitor):
    """A request of a developer who has signed in."""

    session: Session = field(repr=False)
    csrf: str = field(repr=False)

    @property
    def principal(self) -> Principal:
        return principal_of(self.session)

    @property
    def is_recent(self) -> bool:
        """Whether the password was given just now, so that dangerous things need not ask again."""
        return self.session.is_recent(self.service.now())

    async def require_password(self) -> None:
        """Make sure that whoever does this knows the password.

        Raises:
            PasswordNeeded, WrongOwnPassword, TooManySignIns
        """
        if self.is_recent:
            return
        if not self.form.text("password"):
            raise PasswordNeeded
        password = self.form.text("password")
        await confirm_password(self.service, self.call, self.session, password)


async def _anybody(request: Request) -> Visitor:
    form = await _sent_form(request)
    return Visitor(request, request.app.state.service, request.scope[CALL], form)


async def _signed_in(visitor: Annotated[Visitor, Depends(_anybody)]) -> Visit:
    shown = cookies.read(visitor.request, cookies.SESSION)
    session = await authenticate_session(visitor.service, shown)
    csrf = csrf_token(shown or "")
    if visitor.request.method == "POST" and not hmac.compare_digest(
        visitor.form.text("csrf").encode(), csrf.encode()
    ):
        raise Forged
    return Visit(visitor.request, visitor.service, visitor.call, visitor.form, session, csrf)


Anybody = Annotated[Visitor, Depends(_anybody)]
SignedIn = Annotated[Visit, Depends(_signed_in)]


def csrf_token(session: str) -> str:
    """What proves that a form comes from a page of this session; it tells nothing of it."""
    return hmac.new(session.encode(), b"keyturn csrf", hashlib.sha256).hexdigest()


def whole_number(text: str, name: str, lowest: int, highest: int) -> int:
    """The number that was typed.

    Raises:
        InvalidRequest: it is none, or not between these two.
    """
    digits = text.strip()
    # Not all that Python reads: 1_000 is a slip of whoever types it.
    number = int(digits) if re.fullmatch("[+-]?[0-9]{1,19}", digits) else None
    if number is None or not lowest <= number <= highest:
        raise InvalidRequest(name, f"must be a whole number from {lowest:,} to {highest:,}")
    return number


def _refuse_foreign(request: Request) -> None:
    """Raises `Forged` or `ForeignOrigin` for what no page of ours has sent."""
    public_url = request.app.state.public_url
    origin = request.headers.get("origin")
    if not cookies.is_own_site(origin, request.headers.get("sec-fetch-site")):
        raise Forged
    if origin is not None and not cookies.is_own_origin(public_url, origin):
        seen = redact(origin[:MAX_ORIGIN])
        _log.warning(
            "a form was refused: its origin is not that of KEYTURN_PUBLIC_URL",
            origin=seen,
            public_url=public_url,
        )
        raise ForeignOrigin(seen, public_url)


async def _sent_form(request: Request) -> Form:
    if request.method != "POST":
        return Form()
    _refuse_foreign(request)
    try:
        text = (await request.body()).decode()
        return Form(parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise InvalidRequest("form", "can't be read") from None
