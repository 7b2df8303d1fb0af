"""What a running service removes by itself, and what it leaves."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from keyturn.actions import keep_house
from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.keep_house import (
    check_ready,
    forget_old_attempts,
    forget_old_audit,
    remove_never_used_agents,
)
from keyturn.actions.note_use import write_uses
from keyturn.actions.register_agent import Registered, create_agent
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.take_attempt import take_attempt
from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.errors import InvalidCredentials, Unavailable
from keyturn.core.rate_limit import Counted, Limit
from tests.actions.keeper import Keeper
from tests.actions.world import MINUTE, Around, World, bearer, call, presented
from tests.storage.batches import do


def never_used(world: World) -> Registered:
    return world.register()


def created_by_a_developer(world: World) -> Registered:
    return do(create_agent(world.service, call(), world.operator, None, with_secret=True))


def used_once(world: World) -> Registered:
    made = world.register()
    do(authenticate_agent(world.service, call(), bearer(made.pair)))
    do(write_uses(world.service))
    return made


def rotated_once(world: World) -> Registered:
    made = world.register()
    do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    return made


def revoked_by_itself(world: World) -> Registered:
    made = world.register()
    do(revoke_self(world.service, call(), presented(made.pair)))
    do(write_uses(world.service))
    return made


def never_used_and_refused(world: World) -> Registered:
    made = world.register()
    other = world.register()
    mixed = replace(presented(other.pair), authorization=bearer(made.pair))
    with pytest.raises(InvalidCredentials):
        do(rotate_own_credentials(world.service, call(), mixed))
    return made


@pytest.mark.parametrize(
    ("agent", "days", "stays"),
    [
        (never_used, 29, True),
        (never_used, 31, False),
        (never_used_and_refused, 31, False),
        (created_by_a_developer, 31, True),
        (used_once, 31, True),
        (used_once, 400, True),
        (rotated_once, 31, True),
        (revoked_by_itself, 31, True),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_self_registered_agents_never_used_for_30_days_are_removed(
    world: World, agent: Callable[[World], Registered], days: int, stays: bool
) -> None:
    made = agent(world)
    world.clock.wait(days=days)
    do(remove_never_used_agents(world.service))
    assert world.exists(made.agent_id) is stays


def test_the_removal_is_in_the_trail_as_the_systems_doing(world: World) -> None:
    made = world.register()
    world.clock.wait(days=31)
    assert do(remove_never_used_agents(world.service)) == 1
    [entry] = world.trail(action="agent.deleted")
    assert (entry.actor_kind, entry.actor_id, entry.outcome) == ("system", None, "success")
    assert (entry.agent_id, entry.developer_id) == (made.agent_id, BUILT_IN_OWNER)
    assert (entry.at, entry.details) == (world.clock.now, {"reason": "never_used"})


def test_a_removed_agents_key_is_unknown(world: World) -> None:
    made = world.register()
    world.clock.wait(days=31)
    do(remove_never_used_agents(world.service))
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(world.service, call(), bearer(made.pair)))


def test_many_are_removed_some_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_house, "ROWS_AT_ONCE", 3)
    for _ in range(7):
        world.register()
    world.clock.wait(days=31)
    removed = [do(remove_never_used_agents(world.service)) for _ in range(4)]
    assert removed == [3, 3, 1, 0]
    assert len(world.trail(action="agent.deleted")) == 7


def test_processes_that_keep_house_at_once_remove_each_agent_once(world: World) -> None:
    other = world.process()

    async def both() -> list[int]:
        services = [world.service, other] * 3
        return await asyncio.gather(*map(remove_never_used_agents, services))

    agents = {world.register().agent_id for _ in range(10)}
    world.clock.wait(days=31)
    assert sum(do(both())) == 10
    deleted = [entry.agent_id for entry in world.trail(action="agent.deleted")]
    assert len(deleted) == 10
    assert set(deleted) == agents


def test_the_trail_is_kept_for_ever_unless_told_otherwise(world: World) -> None:
    world.register()
    world.clock.wait(days=10_000)
    assert do(forget_old_audit(world.service)) == 0
    assert len(world.trail()) == 1


def test_entries_past_the_retention_are_forgotten_and_younger_ones_stay(world: World) -> None:
    service = world.with_policy(audit_retention_days=30)
    old = world.register()
    world.clock.wait(days=29)
    young = world.register()
    assert do(forget_old_audit(service)) == 0
    world.clock.wait(days=2)
    assert do(forget_old_audit(service)) == 1
    assert [entry.agent_id for entry in world.trail()] == [young.agent_id]
    assert world.exists(old.agent_id)


def test_old_entries_are_forgotten_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_house, "ROWS_AT_ONCE", 2)
    service = world.with_policy(audit_retention_days=1)
    for _ in range(5):
        world.register()
    world.clock.wait(days=2)
    assert [do(forget_old_audit(service)) for _ in range(4)] == [2, 2, 1, 0]


def test_attempts_are_forgotten_when_no_window_counts_them(world: World) -> None:
    limit = Limit("any", 2, 900)
    do(take_attempt(world.service, limit, "a bucket"))
    world.clock.wait(14 * MINUTE)
    do(take_attempt(world.service, limit, "a bucket"))
    assert do(forget_old_attempts(world.service)) == 0
    assert not do(take_attempt(world.service, limit, "a bucket")).allowed
    world.clock.wait(MINUTE)
    assert do(forget_old_attempts(world.service)) == 1
    assert do(take_attempt(world.service, limit, "a bucket")).remaining == 0
    assert not do(take_attempt(world.service, limit, "a bucket")).allowed


class Silent(Around):
    """A store that does not answer."""

    async def check(self) -> None:
        raise Unavailable("no answer")


def test_an_installation_is_ready_while_both_stores_answer(world: World) -> None:
    service = world.service
    do(check_ready(service))
    for broken in (
        replace(service, store=Silent(service.store)),
        replace(service, limits=Silent(service.limits)),
    ):
        with pytest.raises(Unavailable):
            do(check_ready(broken))


def test_a_round_removes_all_that_has_expired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_house, "ROWS_AT_ONCE", 3)
    keeper = Keeper(world, world.with_policy(audit_retention_days=30))
    agents = [world.register().agent_id for _ in range(7)]
    keeper.after()
    assert all(map(world.exists, agents))
    assert attempts(world) == 7
    keeper.after(days=31)
    assert not any(map(world.exists, agents))
    assert {entry.action for entry in world.trail()} == {"agent.deleted"}
    assert attempts(world) == 0


def attempts(world: World) -> int:
    """How many registrations are still counted for the installation."""
    values = {"after": 0, "now": world.clock.now, "quota": 1000}
    everybody = do(
        world.service.limits.read(
            lambda tx: tx.one(Counted, "counted_attempts", bucket="registration-total *", **values)
        )
    )
    assert everybody is not None
    return everybody.count


def test_a_round_finishes_a_scrub_that_is_owed(world: World) -> None:
    finished: list[str] = []

    class Owing(Around):
        async def finish_scrub(self) -> None:
            finished.append("it")

    Keeper(world, replace(world.service, store=Owing(world.service.store))).after()
    assert finished == ["it"]


@pytest.mark.parametrize(
    ("drift", "stays"), [(60_000, False), (-60_000, False), (60_001, True), (-60_001, True)]
)
def test_nothing_expires_while_the_clock_has_moved_by_more_than_a_minute(
    world: World, drift: int, stays: bool
) -> None:
    keeper = Keeper(world)
    keeper.after()
    made = world.register()
    keeper.after(days=31, drift=drift)
    assert world.exists(made.agent_id) is stays
