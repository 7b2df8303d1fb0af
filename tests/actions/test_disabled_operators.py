"""Whoever was an operator leaves nothing behind by which they come back."""

import pytest

from keyturn.actions.invite_developer import accept_invitation, invite, invite_again
from keyturn.actions.manage_developers import disable_developer
from keyturn.core.errors import WrongCode
from tests.actions.world import World, call
from tests.storage.batches import do


def test_no_code_that_a_disabled_operator_could_have_made_lets_anybody_in(world: World) -> None:
    older = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    world.clock.wait(1)
    _, mallory = world.developer("mallory@example.com", operator=True)
    _, bob = world.developer("bob@example.com")
    for_bob = do(invite_again(world.service, call(), mallory, bob.developer_id))
    for_new = do(invite(world.service, call(), mallory, "new@example.com", operator=True))
    do(disable_developer(world.service, call(), world.operator, mallory.developer_id))
    for invited in (for_bob, for_new):
        with pytest.raises(WrongCode):
            do(accept_invitation(world.service, call(), invited.code.reveal(), "mallory was here"))
    do(accept_invitation(world.service, call(), older.code.reveal(), "eve's password 1"))
    (entry,) = (entry for entry in world.trail() if entry.action == "developer.disabled")
    assert entry.details == {"codes": 2}


def test_codes_outlive_a_developer_who_could_not_make_them(world: World) -> None:
    world.clock.wait(1)
    invited = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    _, bob = world.developer("bob@example.com")
    do(disable_developer(world.service, call(), world.operator, bob.developer_id))
    do(accept_invitation(world.service, call(), invited.code.reveal(), "eve's password 1"))
