"""Visits the pages in this process, so that a test can choose the moment of what happens."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.actions import sessions
from keyturn.actions.invite_developer import accept_invitation, invite_locally
from keyturn.actions.passwords import is_right
from keyturn.actions.service import CALL, Principal, Service
from keyturn.core.session import RECENT
from keyturn.dashboard.app import Dashboard
from tests.actions.world import World, call
from tests.storage.batches import do

PASSWORD = "a calm and long sentence"


@dataclass(frozen=True)
class Person:
    email: str
    principal: Principal


class Browser:
    """Keeps cookies, and follows no redirect by itself."""

    def __init__(self, service: Service) -> None:
        self._pages = Dashboard("http://localhost")
        self.service = service
        self.cookies = httpx.Cookies()

    def sign_in(self, person: Person) -> None:
        sent = {"email": person.email, "password": PASSWORD}
        answer = self._ask("POST", "/dashboard/sign-in", sent)
        assert answer.status_code == 303, answer.text

    def get(self, path: str, *, cookies: str = "") -> httpx.Response:
        """Look at a page; with these cookies in the place of its own."""
        return self._ask("GET", path, None, cookies)

    def head(self, path: str) -> httpx.Response:
        """Ask for a page without its body."""
        return self._ask("HEAD", path, None)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the proof that it is of this session."""
        return self.submit(path, **{"csrf": self.csrf, **fields})

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as it is, which is enough where nobody has signed in."""
        return self._ask("POST", path, fields)

    @property
    def csrf(self) -> str:
        return hidden(self.get("/dashboard/account"), "csrf")

    @property
    def session(self) -> str:
        """The credential of its session."""
        return str(self.cookies["keyturn-session"])

    @session.setter
    def session(self, credential: str) -> None:
        self.cookies.set("keyturn-session", credential)

    def _ask(
        self, method: str, path: str, form: dict[str, str] | None, cookies: str = ""
    ) -> httpx.Response:
        raw = [(b"cookie", cookies.encode())] if cookies else []

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(_called(self._pages))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, data=form, headers=raw)
                self.cookies = client.cookies
                return answer

        self._pages.app.state.service = self.service
        return do(ask())


def developer(world: World, email: str, *, operator: bool = False) -> Person:
    """A developer who has a password."""
    code = do(invite_locally(world.service, email, operator=operator)).code
    made = do(accept_invitation(world.service, call(), code.reveal(), PASSWORD))
    return Person(email, sessions.principal_of(made.session))


def hidden(answer: httpx.Response, name: str) -> str:
    """The value of a hidden field of the page."""
    found = re.search(f'name="{name}" value="([^"]*)"', answer.text)
    assert found is not None, f"the page has no {name}"
    return found[1]


def while_the_password_is_checked(
    world: World, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[object]]
) -> None:
    """From now on the password is asked again, and this happens while it is checked, once."""
    world.clock.wait(RECENT)

    async def slowly(password: str, kept: str | None) -> bool:
        monkeypatch.setattr(sessions, "is_right", is_right)
        await happens()
        return await is_right(password, kept)

    monkeypatch.setattr(sessions, "is_right", slowly)


def _called(pages: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await pages({**scope, CALL: replace(call(), request_id="0" * 32)}, receive, send)

    return app
