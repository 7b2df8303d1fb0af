"""Signing in gives a browser one session in the place of another."""

import pytest

from keyturn.actions.invite_developer import invite_again, invite_locally
from keyturn.actions.set_up import setup_code
from tests.actions.world import World, call
from tests.dashboard.visiting import PASSWORD, Browser, Person, developer
from tests.storage.batches import do

SIGNED_OUT = "You have signed out."
ENDED = "Your session has ended. Sign in to go on."


def test_a_new_sign_in_ends_the_session_that_the_browser_had(
    world: World, browser: Browser, ada: Person
) -> None:
    former, elsewhere = Browser(world.service), Browser(world.service)
    former.session = browser.session
    elsewhere.sign_in(ada)
    browser.sign_in(ada)
    assert former.get("/dashboard/account").status_code == 303
    for alive in (browser, elsewhere):
        assert alive.get("/dashboard/account").status_code == 200


def test_whoever_signs_in_after_somebody_else_ends_their_session(
    world: World, browser: Browser, ada: Person
) -> None:
    former = Browser(world.service)
    former.session = browser.session
    bob = developer(world, "bob@example.com")
    browser.sign_in(bob)
    assert former.get("/dashboard/account").status_code == 303
    (entry,) = world.trail(action="developer.session_ended")
    assert entry.actor_id == bob.principal.developer_id
    assert entry.developer_id == ada.principal.developer_id


@pytest.mark.parametrize("again", [False, True], ids=["a new developer", "a lost password"])
def test_a_code_that_is_used_ends_the_session_that_the_browser_had(
    world: World, browser: Browser, ada: Person, again: bool
) -> None:
    former = Browser(world.service)
    former.session = browser.session
    if again:
        mine = ada.principal.developer_id
        code = do(invite_again(world.service, call(), ada.principal, mine)).code
    else:
        code = do(invite_locally(world.service, "eve@example.com", operator=False)).code
    answer = browser.post("/dashboard/join", code=code.reveal(), password=PASSWORD)
    assert answer.status_code == 303
    assert former.get("/dashboard/account").status_code == 303


def test_whoever_sets_up_ends_the_session_that_the_browser_had(world: World) -> None:
    bob = developer(world, "bob@example.com")
    browser, former = Browser(world.service), Browser(world.service)
    browser.sign_in(bob)
    former.session = browser.session
    code = do(setup_code(world.service)) or ""
    sent = {"code": code, "email": "ada@example.com", "password": PASSWORD}
    assert browser.post("/setup", **sent).status_code == 303
    assert former.get("/dashboard/account").status_code == 303
    (entry,) = world.trail(action="developer.session_ended")
    assert entry.developer_id == bob.principal.developer_id


def test_whoever_signs_out_is_told_so_once(browser: Browser) -> None:
    answer = browser.post("/dashboard/sign-out")
    assert answer.headers["location"] == "/dashboard/sign-in"
    browser.head("/dashboard/sign-in")
    assert SIGNED_OUT in browser.get("/dashboard/sign-in").text
    assert SIGNED_OUT not in browser.get("/dashboard/sign-in").text


def test_whose_session_ended_before_a_form_was_sent_is_told_so_once(
    world: World, browser: Browser
) -> None:
    sent = {"csrf": browser.csrf}
    world.clock.wait(days=8)
    answer = browser.submit("/dashboard/agents/new", **sent)
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert ENDED in browser.get("/dashboard/sign-in").text
    assert ENDED not in browser.get("/dashboard/sign-in").text


@pytest.mark.parametrize(("note", "told"), [("out", SIGNED_OUT), ("ended", ENDED)])
def test_no_address_says_that_somebody_has_left(world: World, note: str, told: str) -> None:
    shown = Browser(world.service).get(f"/dashboard/sign-in?note={note}")
    assert (shown.status_code, told in shown.text) == (200, False)
