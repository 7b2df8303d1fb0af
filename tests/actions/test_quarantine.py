"""A quarantined agent can't rotate by itself until its developer rotates for it."""

from dataclasses import replace

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.manage_agents import (
    AgentChanges,
    configure_rotation_secret,
    remove_rotation_secret,
    update_agent,
)
from keyturn.actions.register_agent import Registered
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.core.errors import AgentQuarantined, InvalidCredentials, KeyturnError
from tests.actions.world import World, bearer, call, presented
from tests.storage.batches import do


@pytest.fixture
def quarantined(world: World) -> Registered:
    """An agent that has been quarantined."""
    made = world.register()
    world.quarantine(made.agent_id)
    return made


def rotate(world: World, pair: Pair) -> Pair:
    return do(rotate_own_credentials(world.service, call(), presented(pair))).pair


def test_it_cannot_rotate_and_its_credentials_stay(world: World, quarantined: Registered) -> None:
    before = world.agent(quarantined.agent_id)
    with pytest.raises(AgentQuarantined):
        rotate(world, quarantined.pair)
    assert (world.agent(quarantined.agent_id) == before) is True
    entry = world.trail()[-1]
    assert (entry.outcome, entry.details) == ("refused", {"reason": "agent_quarantined"})
    assert entry.agent_id == quarantined.agent_id


def test_a_wrong_secret_does_not_tell_that_it_is_quarantined(
    world: World, quarantined: Registered
) -> None:
    other = world.register()
    mixed = replace(presented(other.pair), authorization=bearer(quarantined.pair))
    with pytest.raises(InvalidCredentials):
        do(rotate_own_credentials(world.service, call(), mixed))


def test_its_attempts_are_counted(world: World, quarantined: Registered) -> None:
    codes = []
    for _ in range(4):
        with pytest.raises(KeyturnError) as raised:
            do(
                rotate_own_credentials(
                    world.service, call("203.0.113.7"), presented(quarantined.pair)
                )
            )
        codes.append(raised.value.code)
    assert codes == ["agent_quarantined"] * 3 + ["too_many_rotation_attempts"]


def test_its_key_works_for_everything_else(world: World, quarantined: Registered) -> None:
    found = do(authenticate_agent(world.service, call(), bearer(quarantined.pair)))
    assert (found.id, found.status) == (quarantined.agent_id, "quarantined")


def test_its_developers_rotation_lifts_it(world: World, quarantined: Registered) -> None:
    issued = do(rotate_for_developer(world.service, call(), world.operator, quarantined.agent_id))
    agent = world.agent(quarantined.agent_id)
    assert (agent.status, agent.generation) == ("active", 2)
    rotate(world, issued.pair)
    with pytest.raises(InvalidCredentials):
        rotate(world, quarantined.pair)


def test_nothing_else_that_its_developer_does_lifts_it(
    world: World, quarantined: Registered
) -> None:
    service, agent_id = world.service, quarantined.agent_id
    do(update_agent(service, call(), world.operator, agent_id, AgentChanges(name="another name")))
    secret = do(configure_rotation_secret(service, call(), world.operator, agent_id))
    with pytest.raises(AgentQuarantined):
        rotate(world, replace(quarantined.pair, rotation_secret=secret))
    do(remove_rotation_secret(service, call(), world.operator, agent_id))
    assert world.agent(agent_id).status == "quarantined"


def test_it_can_still_revoke_itself(world: World, quarantined: Registered) -> None:
    do(revoke_self(world.service, call(), presented(quarantined.pair)))
    assert world.agent(quarantined.agent_id).status == "revoked"
