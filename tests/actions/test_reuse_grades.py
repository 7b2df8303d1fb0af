"""How bad a reuse is, for how long it is watched for, and how it is counted."""

from collections.abc import Callable

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.keep_house import forget_old_retired
from keyturn.actions.manage_agents import configure_rotation_secret, remove_rotation_secret
from keyturn.actions.register_agent import Application, create_agent, register_agent
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer, revoke_self
from keyturn.actions.rotate_credentials import (
    Presented,
    rotate_for_developer,
    rotate_own_credentials,
)
from keyturn.core.errors import InvalidCredentials
from tests.actions.lost import DEAD, code_of, lose, new_key, repeat
from tests.actions.reused import Life, counts, noticed
from tests.actions.world import MINUTE, SECOND, World, bearer, call, presented
from tests.storage.batches import do

NOBODYS = Presented("Bearer x", "y")


def test_with_its_idempotency_key_a_pair_is_never_more_than_info(world: World) -> None:
    lost = lose(world)
    second = lose(world, lost.new)
    world.clock.wait(days=100)
    assert repeat(world, lost) == DEAD
    assert noticed(world, second.agent_id) == [("info", "pair", 1)]


def test_the_idempotency_key_of_another_rotation_does_not_help(world: World) -> None:
    first = lose(world)
    second = lose(world, first.new)
    world.clock.wait(61 * SECOND)
    assert repeat(world, first, idempotency_key=second.key) == DEAD
    assert noticed(world) == [("critical", "pair", 1)]


def test_a_replay_is_no_reuse(world: World) -> None:
    lost = lose(world)
    world.clock.wait(days=1)
    repeat(world, lost)
    assert noticed(world) == []


@pytest.mark.parametrize(
    ("after", "severity"), [(0, "info"), (60_000, "info"), (60_001, "critical")]
)
def test_a_plain_client_that_retries_has_a_minute(world: World, after: int, severity: str) -> None:
    made = world.register()
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    world.clock.wait(after)
    assert code_of(rotate_own_credentials(world.service, call(), presented(made.pair))) == DEAD
    assert noticed(world) == [(severity, "pair", 1)]


def it_rotates_it(world: World, agent_id: str) -> None:
    do(rotate_for_developer(world.service, call(), world.operator, agent_id))


def it_reinstates_it(world: World, agent_id: str) -> None:
    do(revoke_for_developer(world.service, call(), world.operator, agent_id, ""))
    do(reinstate_agent(world.service, call(), world.operator, agent_id))


@pytest.mark.parametrize("change", [it_rotates_it, it_reinstates_it])
def test_what_a_developer_retired_is_never_critical(
    world: World, change: Callable[[World, str], None]
) -> None:
    made = world.register()
    change(world, made.agent_id)
    for wait, severity in ((0, "info"), (61 * SECOND, "warning")):
        world.clock.wait(wait)
        assert code_of(rotate_own_credentials(world.service, call(), presented(made.pair))) == DEAD
        [*_, entry] = world.trail(action="credential.reused")
        assert (entry.details["severity"], entry.details["retiredBy"]) == (severity, "developer")


def it_is_replaced(world: World, agent_id: str) -> None:
    do(configure_rotation_secret(world.service, call(), world.operator, agent_id))


def it_is_removed(world: World, agent_id: str) -> None:
    do(remove_rotation_secret(world.service, call(), world.operator, agent_id))


@pytest.mark.parametrize("change", [it_is_replaced, it_is_removed])
def test_a_secret_that_a_developer_took_away_is_noticed_beside_the_current_key(
    world: World, change: Callable[[World, str], None]
) -> None:
    made = world.register()
    change(world, made.agent_id)
    world.clock.wait(61 * SECOND)
    for prove in (rotate_own_credentials, revoke_self):
        assert code_of(prove(world.service, call(), presented(made.pair))) != ""
    assert noticed(world) == [("warning", "rotation_secret", 1)]
    world.clock.wait(15 * MINUTE)
    assert counts(world.trail(action="credential.reused")) == [1, 1]


def test_a_revoked_agents_old_secret_is_noticed_beside_its_last_key(life: Life) -> None:
    do(revoke_for_developer(life.world.service, call(), life.world.operator, life.agent_id, ""))
    request = life.mixed(life.pairs[2], life.pairs[1])
    code = code_of(rotate_own_credentials(life.world.service, call(), request))
    assert code == "agent_revoked"
    assert noticed(life.world) == [("warning", "rotation_secret", 2)]


def test_credentials_of_a_deleted_agent_are_forgotten(life: Life) -> None:
    life.world.edit(f"PRAGMA foreign_keys = ON; DELETE FROM agents WHERE id = '{life.agent_id}'")
    life.look(life.pairs[0])
    life.rotate(presented(life.pairs[2]))
    assert noticed(life.world) == []


def test_retired_credentials_are_watched_for_a_year(life: Life) -> None:
    life.world.clock.wait(days=364)
    assert do(forget_old_retired(life.world.service)) == 0
    life.rotate(presented(life.pairs[0]))
    assert noticed(life.world) == [("critical", "pair", 1)]
    life.world.clock.wait(days=1)
    assert do(forget_old_retired(life.world.service)) == 3
    life.rotate(presented(life.pairs[0]))
    life.look(life.pairs[1])
    assert len(noticed(life.world)) == 1


def test_for_how_long_they_are_watched_is_a_setting(life: Life) -> None:
    service = life.world.with_policy(retired_retention_days=30)
    life.world.clock.wait(days=29)
    assert do(forget_old_retired(service)) == 0
    life.world.clock.wait(days=1)
    assert do(forget_old_retired(service)) == 3


def test_the_first_is_an_entry_and_the_others_a_count_that_names_the_agent(life: Life) -> None:
    for _ in range(7):
        life.look(life.pairs[0])
    assert counts(life.world.trail(action="credential.reused")) == [1]
    life.look(life.pairs[0])
    life.world.trail()
    life.world.clock.wait(15 * MINUTE)
    [first, count] = life.world.trail(action="credential.reused")
    assert (count.agent_id, count.developer_id) == (first.agent_id, first.developer_id)
    assert (count.details["count"], count.details["severity"]) == (7, "warning")


def test_a_flood_of_it_takes_no_place_from_others_and_loses_none_to_them(life: Life) -> None:
    for number in range(30):
        with pytest.raises(InvalidCredentials):
            do(rotate_own_credentials(life.world.service, call(f"192.0.2.{number}"), NOBODYS))
    life.rotate(presented(life.pairs[0]))
    assert noticed(life.world) == [("critical", "pair", 1)]


def an_agent_of_a_developer(world: World) -> Pair:
    return do(create_agent(world.service, call(), world.operator, None, with_secret=True)).pair


def an_agent_that_registered_recoverably(world: World) -> Pair:
    asked = Application(idempotency_key=new_key())
    return do(register_agent(world.service, call(), asked)).pair


@pytest.mark.parametrize("made", [an_agent_of_a_developer, an_agent_that_registered_recoverably])
def test_it_does_not_matter_how_the_agent_came_to_be(
    world: World, made: Callable[[World], Pair]
) -> None:
    lost = lose(world, made(world))
    world.clock.wait(61 * SECOND)
    assert repeat(world, lost, idempotency_key=None) == DEAD
    assert noticed(world) == [("critical", "pair", 1)]


def test_many_counts_of_it_come_ten_a_second_however_often_refusals_are_moved(
    world: World,
) -> None:
    made, pairs = world.register(), list[Pair]()
    for _ in range(15):
        issued = do(rotate_for_developer(world.service, call(), world.operator, made.agent_id))
        pairs.append(issued.pair)
    for pair in pairs[:-1] * 2:
        with pytest.raises(InvalidCredentials):
            do(authenticate_agent(world.service, call(), bearer(pair)))
    assert counts(world.trail(action="credential.reused")) == [1] * 14
    world.clock.wait(15 * MINUTE)
    for _ in range(3):
        assert len(world.trail(action="credential.reused")) == 14 + 10
    world.clock.wait(SECOND)
    assert counts(world.trail(action="credential.reused")) == [1] * 28
