"""Operators see which codes are open, and withdraw them."""

import re

import pytest

from keyturn.actions.invite_developer import accept_invitation, invite
from keyturn.core.agent import BUILT_IN_OWNER
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


@pytest.mark.parametrize("change", ["disable", "code"])
def test_the_built_in_owner_has_a_name_where_nothing_can_be_done_to_it(
    browser: Browser, change: str
) -> None:
    shown = browser.get(f"/dashboard/developers/{BUILT_IN_OWNER}/{change}")
    assert ("the built-in owner" in shown.text, "None" in shown.text) == (True, False)
