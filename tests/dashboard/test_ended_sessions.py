"""A session that ends while its form is answered leads to the sign-in, not to a page within."""

import pytest

from keyturn.actions.invite_developer import invite
from keyturn.actions.manage_tokens import NewToken, create_token
from keyturn.actions.sessions import end_other_sessions
from keyturn.core.credential import Kind
from tests.actions.world import World, call
from tests.dashboard.visiting import PASSWORD, Browser, Person, while_the_password_is_checked
from tests.storage.batches import do

FORMS = [
    ("agents/new", {"name": "courier"}),
    ("agents/{agent}/change/rotate", {"generation": "1"}),
    ("agents/revoke", {"agent": "{agent}", "sure": "yes"}),
    ("tokens", {"kind": "service", "name": "gateway"}),
    ("tokens/service/{token}/delete", {}),
    ("developers", {"email": "bob@example.com"}),
    ("developers/{developer}/code", {}),
    ("developers/{developer}/disable", {}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS, ids=[path for path, _ in FORMS])
def test_whoever_is_signed_out_meanwhile_signs_in(
    world: World,
    browser: Browser,
    ada: Person,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    fields: dict[str, str],
) -> None:
    eve = do(invite(world.service, call(), ada.principal, "eve@example.com", operator=False))
    new = NewToken(Kind.SERVICE_TOKEN, "old", ada.principal.developer_id)
    token, _ = do(create_token(world.service, call(), ada.principal, new))
    there = {
        "agent": world.register().agent_id,
        "token": token.id,
        "developer": eve.developer.id,
    }
    while_the_password_is_checked(
        world, monkeypatch, lambda: end_other_sessions(world.service, call(), ada.principal)
    )
    sent = {name: value.format(**there) for name, value in fields.items()}
    answer = browser.post("/dashboard/" + path.format(**there), password=PASSWORD, **sent)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/sign-in"


def test_whoever_is_signed_out_while_the_password_changes_signs_in(
    world: World, browser: Browser, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_the_password_is_checked(
        world, monkeypatch, lambda: end_other_sessions(world.service, call(), ada.principal)
    )
    sent = {"current": PASSWORD, "new": "another long sentence"}
    answer = browser.post("/dashboard/account/password", **sent)
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert browser.get("/dashboard/account").status_code == 303
