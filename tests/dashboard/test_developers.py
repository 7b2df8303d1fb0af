"""Operators see which codes are open, and withdraw them."""

import re

import pytest

from keyturn.actions.invite_developer import accept_invitation, invite
from keyturn.actions.manage_tokens import NewToken, create_token
from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.credential import Kind
from keyturn.core.errors import WrongCode
from tests.actions.world import World, call
from tests.dashboard.visiting import PASSWORD, Browser, Person, developer
from tests.storage.batches import do

WITHDRAW = re.compile("/dashboard/developers/codes/[-0-9a-f]+/withdraw")


def test_an_open_code_is_listed_until_it_is_withdrawn(
    world: World, browser: Browser, ada: Person
) -> None:
    invited = do(invite(world.service, call(), ada.principal, "eve@example.com", operator=False))
    (path,) = WITHDRAW.findall(browser.get("/dashboard/developers").text)
    assert browser.post(path).status_code == 303
    assert not WITHDRAW.search(browser.get("/dashboard/developers").text)
    with pytest.raises(WrongCode):
        do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))
    assert [entry.details["kind"] for entry in world.trail(action="token.deleted")] == [
        "invitation"
    ]


def test_only_an_operator_withdraws_a_code(world: World, browser: Browser, ada: Person) -> None:
    invited = do(invite(world.service, call(), ada.principal, "eve@example.com", operator=False))
    (path,) = WITHDRAW.findall(browser.get("/dashboard/developers").text)
    other = Browser(world.service)
    other.sign_in(developer(world, "bob@example.com"))
    assert other.post(path).status_code == 403
    do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))


def test_before_a_developer_is_disabled_the_page_says_how_much_ends_with_them(
    world: World, browser: Browser, ada: Person
) -> None:
    mallory = developer(world, "mallory@example.com", operator=True).principal
    for owner in (mallory, mallory, ada.principal):
        new = NewToken(Kind.SERVICE_TOKEN, "gateway", owner.developer_id)
        do(create_token(world.service, call(), mallory, new))
    do(invite(world.service, call(), mallory, "eve@example.com", operator=False))
    page = browser.get(f"/dashboard/developers/{mallory.developer_id}/disable").text
    assert "tokens (2), sessions (1)" in page
    assert "could have made (1)" in page and "made for others (1)" in page


def test_what_is_dead_already_is_not_counted(world: World, browser: Browser) -> None:
    bob = developer(world, "bob@example.com").principal
    soon = NewToken(Kind.ENROLMENT_TOKEN, "ci", bob.developer_id, 1, world.clock.now + 60_000)
    do(create_token(world.service, call(), bob, soon))
    assert "tokens (1)" in browser.get(f"/dashboard/developers/{bob.developer_id}/disable").text
    world.clock.wait(60_000)
    page = browser.get(f"/dashboard/developers/{bob.developer_id}/disable").text
    assert "tokens (0), sessions (1)" in page and "made for others" not in page


@pytest.mark.parametrize("change", ["disable", "code"])
def test_the_built_in_owner_has_a_name_where_nothing_can_be_done_to_it(
    browser: Browser, change: str
) -> None:
    shown = browser.get(f"/dashboard/developers/{BUILT_IN_OWNER}/{change}")
    assert ("the built-in owner" in shown.text, "None" in shown.text) == (True, False)
