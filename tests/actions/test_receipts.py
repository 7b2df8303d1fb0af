"""How long a lost answer can be had again, and what ends that sooner."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.manage_agents import (
    AgentChanges,
    change_credits,
    configure_rotation_secret,
    delete_agent,
    remove_rotation_secret,
    update_agent,
)
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.note_use import write_uses
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer, revoke_self
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.core.agent import OnReuse
from keyturn.core.errors import InvalidCredentials, Unavailable
from tests.actions.interruptions import Interruption, interrupted
from tests.actions.keeper import Keeper
from tests.actions.lost import DEAD, REPLAYED, Lost, code_of, lose, new_key, receipts, repeat, use
from tests.actions.world import MINUTE, SECOND, World, bearer, call, presented
from tests.storage.batches import do

Happening = Callable[[World, Lost], object]


def it_looks_at_itself(world: World, lost: Lost) -> None:
    use(world.service, lost.new)


def it_looks_at_itself_in_another_process(world: World, lost: Lost) -> None:
    use(world.process(), lost.new)


def it_rotates_again(world: World, lost: Lost) -> None:
    do(rotate_own_credentials(world.service, call(), presented(lost.new)))


def it_rotates_again_and_loses_that_answer_too(world: World, lost: Lost) -> None:
    lose(world, lost.new)


def it_revokes_itself(world: World, lost: Lost) -> None:
    do(revoke_self(world.service, call(), presented(lost.new)))


def its_developer_rotates(world: World, lost: Lost) -> None:
    do(rotate_for_developer(world.service, call(), world.operator, lost.agent_id))


def it_gets_another_secret(world: World, lost: Lost) -> None:
    do(configure_rotation_secret(world.service, call(), world.operator, lost.agent_id))


def its_secret_is_removed(world: World, lost: Lost) -> None:
    do(remove_rotation_secret(world.service, call(), world.operator, lost.agent_id))


def it_is_revoked(world: World, lost: Lost) -> None:
    do(revoke_for_developer(world.service, call(), world.operator, lost.agent_id, ""))


def it_is_reinstated(world: World, lost: Lost) -> None:
    world.edit(f"UPDATE agents SET status = 'revoked' WHERE id = '{lost.agent_id}'")
    do(reinstate_agent(world.service, call(), world.operator, lost.agent_id))


def it_is_deleted(world: World, lost: Lost) -> None:
    do(delete_agent(world.service, call(), world.operator, lost.agent_id))


def set_on_reuse(world: World, lost: Lost, on_reuse: OnReuse) -> None:
    changes = AgentChanges(on_reuse=on_reuse)
    do(update_agent(world.service, call(), world.operator, lost.agent_id, changes))


def a_thief_brings_the_old_pair(world: World, lost: Lost) -> None:
    world.clock.wait(61 * SECOND)
    assert repeat(world, lost, idempotency_key=None) == DEAD
    do(move_refusals_to_trail(world.service))


def its_reuse_revokes_it(world: World, lost: Lost) -> None:
    set_on_reuse(world, lost, "revoke")
    a_thief_brings_the_old_pair(world, lost)
    assert world.agent(lost.agent_id).status == "revoked"


ENDS: list[Happening] = [
    it_looks_at_itself,
    it_looks_at_itself_in_another_process,
    it_rotates_again,
    it_rotates_again_and_loses_that_answer_too,
    it_revokes_itself,
    its_developer_rotates,
    it_gets_another_secret,
    its_secret_is_removed,
    it_is_revoked,
    it_is_reinstated,
    it_is_deleted,
    its_reuse_revokes_it,
]


@pytest.mark.parametrize("happening", ENDS, ids=lambda value: value.__name__)
def test_a_use_or_a_change_or_a_revocation_ends_it(world: World, happening: Happening) -> None:
    lost, other = lose(world), lose(world)
    happening(world, lost)
    assert repeat(world, lost) == DEAD
    assert repeat(world, other) == REPLAYED


def it_is_quarantined(world: World, lost: Lost) -> None:
    world.quarantine(lost.agent_id)


def its_reuse_quarantines_it(world: World, lost: Lost) -> None:
    set_on_reuse(world, lost, "quarantine")
    a_thief_brings_the_old_pair(world, lost)
    assert world.agent(lost.agent_id).status == "quarantined"


def its_reuse_alerts(world: World, lost: Lost) -> None:
    a_thief_brings_the_old_pair(world, lost)


def somebody_guesses_the_idempotency_key(world: World, lost: Lost) -> None:
    guesses = [new_key(), lost.key[:-1], lost.key + "0", lost.key.upper(), "0" * 255]
    assert {repeat(world, lost, idempotency_key=guess) for guess in guesses} == {DEAD}


def somebody_has_none(world: World, lost: Lost) -> None:
    assert repeat(world, lost, idempotency_key=None) == DEAD


def somebody_has_only_the_key(world: World, lost: Lost) -> None:
    secret = lose(world).old.rotation_secret
    assert secret is not None
    assert repeat(world, lost, rotation_secret=secret.reveal()) == DEAD


def somebody_has_only_the_secret(world: World, lost: Lost) -> None:
    assert repeat(world, lost, authorization=bearer(lose(world).old)) == DEAD


def it_is_renamed(world: World, lost: Lost) -> None:
    changes = AgentChanges(name="another name", rotation_period_days=1)
    do(update_agent(world.service, call(), world.operator, lost.agent_id, changes))


def its_credits_change(world: World, lost: Lost) -> None:
    do(change_credits(world.service, call(), world.operator, lost.agent_id, -100, ""))


def its_old_key_is_tried(world: World, lost: Lost) -> None:
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(world.service, call(), bearer(lost.old)))
    do(write_uses(world.service))


def its_new_key_is_shown_with_a_wrong_secret(world: World, lost: Lost) -> None:
    wrong = replace(presented(lost.new), rotation_secret="sk_live_rs_" + "0" * 49)
    assert code_of(rotate_own_credentials(world.service, call(), wrong)) == DEAD
    do(write_uses(world.service))


def another_process_starts(world: World, lost: Lost) -> None:
    assert repeat(world, lost, world.process()) == REPLAYED


CHANGES_NOTHING: list[Happening] = [
    it_is_quarantined,
    its_reuse_quarantines_it,
    its_reuse_alerts,
    somebody_guesses_the_idempotency_key,
    somebody_has_none,
    somebody_has_only_the_key,
    somebody_has_only_the_secret,
    it_is_renamed,
    its_credits_change,
    its_old_key_is_tried,
    its_new_key_is_shown_with_a_wrong_secret,
    another_process_starts,
]


@pytest.mark.parametrize("happening", CHANGES_NOTHING, ids=lambda value: value.__name__)
def test_nothing_else_ends_it(world: World, happening: Happening) -> None:
    lost = lose(world)
    happening(world, lost)
    assert repeat(world, lost) == REPLAYED


def test_a_use_of_the_old_key_that_is_written_after_the_rotation_does_not_end_it(
    world: World,
) -> None:
    made = world.register()
    do(authenticate_agent(world.service, call(), bearer(made.pair)))
    lost = lose(world, made.pair)
    do(write_uses(world.service))
    assert repeat(world, lost) == REPLAYED


def test_a_use_that_another_process_writes_two_rotations_later_does_not_end_the_last(
    world: World,
) -> None:
    behind, first = world.process(), lose(world)
    do(authenticate_agent(behind, call(), bearer(first.new)))
    second = lose(world, first.new)
    do(write_uses(behind))
    assert (repeat(world, first), repeat(world, second)) == (DEAD, REPLAYED)


def test_a_use_that_could_not_be_written_is_written_with_the_next_round(world: World) -> None:
    lost = lose(world)
    do(authenticate_agent(world.service, call(), bearer(lost.new)))
    with pytest.raises(Unavailable):
        do(write_uses(interrupted(world.service, "store before", Interruption(1))))
    do(write_uses(world.service))
    assert repeat(world, lost) == DEAD


def test_until_a_use_is_written_the_answer_can_still_be_had(world: World) -> None:
    lost = lose(world)
    do(authenticate_agent(world.service, call(), bearer(lost.new)))
    assert repeat(world, lost) == REPLAYED
    do(write_uses(world.service))
    assert repeat(world, lost) == DEAD


def test_there_is_one_answer_for_each_agent_at_most(world: World) -> None:
    lost = lose(world)
    for _ in range(3):
        lost = lose(world, lost.new)
        assert receipts(world) == 1
    lose(world)
    assert receipts(world) == 2


def test_without_an_idempotency_key_nothing_is_kept(world: World) -> None:
    made = world.register()
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    assert receipts(world) == 0


def test_the_answer_to_a_rotation_is_kept_for_30_days(world: World) -> None:
    keeper, lost = Keeper(world), lose(world)
    keeper.after(days=30)
    other = lose(world)
    assert repeat(world, lost) == DEAD
    keeper.after(days=29)
    keeper.after(24 * 60 * MINUTE - 1)
    assert repeat(world, other) == REPLAYED
    keeper.after(1)
    assert (repeat(world, other), receipts(world)) == (DEAD, 0)


@pytest.mark.parametrize(
    ("drift", "outcome"),
    [(60_000, DEAD), (-60_000, DEAD), (60_001, REPLAYED), (-60_001, REPLAYED)],
)
def test_none_expires_while_the_clock_has_moved_by_more_than_a_minute(
    world: World, drift: int, outcome: str
) -> None:
    keeper = Keeper(world)
    keeper.after()
    lost = lose(world)
    keeper.after(days=31, drift=drift)
    assert repeat(world, lost) == outcome


def test_expiry_goes_on_when_the_clock_has_come_back(world: World) -> None:
    keeper = Keeper(world)
    keeper.after()
    lost = lose(world)
    keeper.after(drift=31 * 24 * 60 * MINUTE)
    assert repeat(world, lost) == REPLAYED
    keeper.after(drift=-31 * 24 * 60 * MINUTE)
    keeper.after(days=31)
    assert repeat(world, lost) == DEAD


def test_many_expire_some_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyturn.actions.keep_house.ROWS_AT_ONCE", 2)
    keeper = Keeper(world)
    for _ in range(5):
        lose(world)
    left = []
    for days in (31, 0, 0):
        keeper.after(days=days)
        left.append(receipts(world))
    assert left == [3, 1, 0]
