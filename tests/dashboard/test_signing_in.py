"""Signing in gives a browser one session in the place of another."""

import pytest

from keyturn.actions.invite_developer import invite_again, invite_locally
from tests.actions.world import World, call
from tests.dashboard.visiting import PASSWORD, Browser, Person, developer
from tests.storage.batches import do


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
