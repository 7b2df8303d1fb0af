"""Whatever retires something is marked in the fence with it, and a restore takes it over."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keyturn.actions.authenticate import authenticate_agent
from keyturn.actions.guard_fence import guard_fence, kept_marks
from keyturn.actions.keep_house import remove_never_used_agents
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.restore_store import restore_store
from keyturn.core.errors import InvalidCredentials
from keyturn.core.fence import ENDED, Subject, agent_record, ahead, behind
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import credentials_database
from tests.actions import test_receipts as happenings
from tests.actions.lost import REPLAYED, Lost, lose, repeat
from tests.actions.world import World, bearer, call
from tests.storage.batches import do


@pytest.fixture
def fence(world: World, tmp_path: Path) -> Iterator[FenceFile]:
    """The fence of the world, whose service marks it from now on."""
    with contextlib.ExitStack() as opened:
        fence = opened.enter_context(contextlib.closing(FenceFile(tmp_path / "fence")))
        database = credentials_database(tmp_path / "keyturn.db")
        store = opened.enter_context(contextlib.closing(SqliteStore(database, lambda: None, fence)))
        do(guard_fence(store, fence))
        world.service = replace(world.service, store=store)
        yield fence


def installation(world: World) -> str:
    return world.look(lambda tx: tx.one(lambda id, _fenced: str(id), "installation")) or ""


RETIRING: list[Callable[[World, Lost], object]] = [
    happenings.it_rotates_again,
    happenings.it_revokes_itself,
    happenings.its_developer_rotates,
    happenings.it_gets_another_secret,
    happenings.its_secret_is_removed,
    happenings.it_is_revoked,
    happenings.it_is_reinstated,
    happenings.it_is_deleted,
    happenings.its_reuse_revokes_it,
    happenings.its_reuse_quarantines_it,
]


@pytest.mark.parametrize("happening", RETIRING, ids=lambda it: it.__name__)
def test_what_retires_something_is_marked_at_once(
    world: World, fence: FenceFile, happening: Callable[[World, Lost], object]
) -> None:
    lost = lose(world)
    happening(world, lost)
    marks, kept = fence.read(installation(world)), world.look(kept_marks)
    assert behind(marks, kept) == {}
    assert ahead(marks, kept) == []
    mark = marks[Subject("agent", lost.agent_id)]
    assert mark > agent_record(lost.agent_id, 2, "active")[1]


def test_an_agent_that_housekeeping_removes_is_marked(world: World, fence: FenceFile) -> None:
    agent_id = world.register().agent_id
    world.clock.wait(days=31)
    assert do(remove_never_used_agents(world.service)) == 1
    assert fence.read(installation(world)) == {Subject("agent", agent_id): ENDED}


def test_a_replay_marks_what_another_process_may_not_have_marked(
    world: World, fence: FenceFile
) -> None:
    unmarked = replace(world.service, store=world.process().store)
    fenced, world.service = world.service, unmarked
    lost = lose(world)
    world.service = fenced
    assert fence.read(installation(world)) == {}
    assert repeat(world, lost) == REPLAYED
    assert dict([agent_record(lost.agent_id, 2, "active")]) == fence.read(installation(world))


def test_a_quarantine_and_a_revocation_come_back_with_a_restore(world: World) -> None:
    quarantined, revoked = world.register().agent_id, world.register().agent_id
    records = [agent_record(quarantined, 1, "quarantined"), agent_record(revoked, 3, "revoked")]
    assert do(restore_store(world.service, dict(records))) == 2
    assert world.agent(quarantined).status == "quarantined"
    assert (world.agent(revoked).status, world.agent(revoked).generation) == ("revoked", 3)


def test_what_a_restored_store_had_of_an_agent_is_known_as_retired(world: World) -> None:
    registered = world.register()
    do(restore_store(world.service, dict([agent_record(registered.agent_id, 2, "active")])))
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(world.service, call(), bearer(registered.pair)))
    do(move_refusals_to_trail(world.service))
    [entry] = world.trail(action="credential.reused")
    assert entry.agent_id == registered.agent_id


def test_a_restore_that_fails_leaves_everything_as_it_was(world: World) -> None:
    agent_id = world.register().agent_id
    before = world.agent(agent_id)
    records = dict([agent_record(agent_id, 2, "active")])
    world.edit("CREATE TRIGGER failing BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'x'); END")
    with pytest.raises(Exception, match="x"):
        do(restore_store(world.service, records))
    assert world.agent(agent_id) == before
