"""A token that dies between its check and the change that it was meant for changes nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from keyturn.actions.manage_agents import (
    AgentChanges,
    change_credits,
    configure_rotation_secret,
    delete_agent,
    remove_rotation_secret,
    update_agent,
)
from keyturn.actions.manage_developers import create_developer, disable_developer
from keyturn.actions.manage_tokens import NewToken, create_token, delete_token
from keyturn.actions.register_agent import Application, create_agent, register_agent
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer
from keyturn.actions.rotate_credentials import rotate_for_developer
from keyturn.actions.service import Principal, Service
from keyturn.core.credential import Kind
from keyturn.core.errors import InvalidEnrolmentToken, InvalidToken
from tests.actions.world import Around, World, call
from tests.storage.batches import do

Operation = Callable[[Service, Principal, str], Awaitable[object]]
Death = Callable[[World, Principal], Awaitable[object]]

OPERATIONS: dict[str, Operation] = {
    "create": lambda s, who, _: create_agent(s, call(), who, None, with_secret=True),
    "update": lambda s, who, id: update_agent(s, call(), who, id, AgentChanges(name="another")),
    "delete": lambda s, who, id: delete_agent(s, call(), who, id),
    "rotate": lambda s, who, id: rotate_for_developer(s, call(), who, id),
    "configure a secret": lambda s, who, id: configure_rotation_secret(s, call(), who, id),
    "remove the secret": lambda s, who, id: remove_rotation_secret(s, call(), who, id),
    "revoke": lambda s, who, id: revoke_for_developer(s, call(), who, id, "why"),
    "reinstate": lambda s, who, id: reinstate_agent(s, call(), who, id),
    "change credits": lambda s, who, id: change_credits(s, call(), who, id, 5, "why"),
    "create a developer": lambda s, who, _: create_developer(
        s, call(), who, "new@example.com", operator=True
    ),
    "create a token": lambda s, who, _: create_token(
        s, call(), who, NewToken(Kind.DEVELOPER_TOKEN, "a token", who.developer_id)
    ),
}


async def the_token_is_deleted(world: World, who: Principal) -> None:
    await delete_token(world.service, call(), world.operator, Kind.DEVELOPER_TOKEN, who.token_id)


async def its_developer_is_disabled(world: World, who: Principal) -> None:
    await disable_developer(world.service, call(), world.operator, who.developer_id)


def dying(world: World, who: Principal, death: Death) -> Service:
    """The service, where the token dies just before the next change."""

    async def before() -> None:
        await death(world, who)

    return replace(world.service, store=Around(world.service.store, before=before))


@pytest.mark.parametrize("death", [the_token_is_deleted, its_developer_is_disabled])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_developers_token_that_dies_meanwhile_changes_nothing(
    world: World, operation: str, death: Death
) -> None:
    assert world.operator.operator
    _, who = world.developer("bob@example.com", operator=True)
    made = do(create_agent(world.service, call(), who, None, with_secret=True))
    before = world.agent(made.agent_id)
    service = dying(world, who, death)
    with pytest.raises(InvalidToken):
        do(OPERATIONS[operation](service, who, made.agent_id))
    assert (world.agent(made.agent_id) == before) is True
    done = [entry for entry in world.trail() if entry.outcome == "success"]
    assert [entry.action for entry in done if entry.actor_id == who.developer_id] == [
        "agent.created"
    ]


@pytest.mark.parametrize("death", [the_token_is_deleted, its_developer_is_disabled])
def test_an_enrolment_token_that_dies_meanwhile_lets_nobody_in(world: World, death: Death) -> None:
    assert world.operator.operator
    _, who = world.developer()
    new = NewToken(Kind.ENROLMENT_TOKEN, "a token", who.developer_id, 5, world.clock.now + 1000)
    token, credential = do(create_token(world.service, call(), who, new))

    async def enrolment_dies(world: World, who: Principal) -> None:
        if death is the_token_is_deleted:
            kind, enrolment = Kind.ENROLMENT_TOKEN, token.id
            await delete_token(world.service, call(), world.operator, kind, enrolment)
        else:
            await death(world, who)

    service = dying(world, who, enrolment_dies)
    with pytest.raises(InvalidEnrolmentToken):
        do(register_agent(service, call(), Application(None, credential.reveal())))
    assert world.trail(action="agent.registered")[0].outcome == "refused"
