"""A developer revokes many agents at once."""

import pytest

from keyturn.actions.revoke_agent import revoke_agents
from keyturn.core.errors import InvalidRequest, InvalidToken
from tests.actions.world import World, call
from tests.storage.batches import do


def test_each_agent_is_revoked_once_and_has_an_entry_of_its_own(world: World) -> None:
    first, second, third = (world.register().agent_id for _ in range(3))
    operator = world.operator
    do(revoke_agents(world.service, call(), operator, [third], ""))
    chosen = [first, second, first, third]
    outcomes = do(revoke_agents(world.service, call(), operator, chosen, "stolen"))
    assert outcomes == {first: "revoked", second: "revoked", third: "already_revoked"}
    assert all(world.agent(each).revoked for each in (first, second, third))
    entries = [entry for entry in world.trail() if entry.action == "agent.revoked"]
    assert [(entry.agent_id, entry.details) for entry in entries] == [
        (third, {}),
        (first, {"reason": "stolen"}),
        (second, {"reason": "stolen"}),
    ]
    assert {entry.actor_id for entry in entries} == {operator.developer_id}


def test_another_developers_agent_is_left_alone_and_the_attempt_recorded(world: World) -> None:
    strangers = world.register().agent_id
    _, ada = world.developer()
    outcomes = do(revoke_agents(world.service, call(), ada, [strangers, "nobody"], ""))
    assert outcomes == {strangers: "not_found", "nobody": "not_found"}
    assert not world.agent(strangers).revoked
    refused = [entry for entry in world.trail() if entry.outcome == "refused"]
    assert {(entry.action, entry.actor_id, entry.agent_id) for entry in refused} == {
        ("agent.revoked", ada.developer_id, None)
    }


def test_nobody_is_revoked_where_too_many_are_chosen(world: World) -> None:
    agent_id = world.register().agent_id
    chosen = [agent_id, *(str(number) for number in range(100))]
    with pytest.raises(InvalidRequest, match="agents"):
        do(revoke_agents(world.service, call(), world.operator, chosen, ""))
    assert not world.agent(agent_id).revoked


def test_whoever_has_lost_their_token_revokes_nobody(world: World) -> None:
    agent_id = world.register().agent_id
    operator = world.operator
    world.edit(f"DELETE FROM tokens WHERE id = '{operator.token_id}'")
    with pytest.raises(InvalidToken):
        do(revoke_agents(world.service, call(), operator, [agent_id], ""))
    assert not world.agent(agent_id).revoked
