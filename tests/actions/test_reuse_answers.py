"""What follows when a pair comes back: an alert, a quarantine or the end, and once."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.manage_agents import AgentChanges, update_agent
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.core.agent import OnReuse
from keyturn.core.audit_trail import Entry
from keyturn.core.errors import Unavailable
from keyturn.storage.store import Result, Transaction
from tests.actions.interruptions import Interruption, interrupted
from tests.actions.lost import code_of
from tests.actions.reused import Life, counts, noticed
from tests.actions.world import MINUTE, Around, call, presented
from tests.storage.batches import do

STATUS: dict[OnReuse, str] = {
    "alert": "active",
    "quarantine": "quarantined",
    "revoke": "revoked",
}
DOING = {"quarantine": "agent.updated", "revoke": "agent.revoked"}


def on_reuse(life: Life, what: OnReuse) -> None:
    changes = AgentChanges(on_reuse=what)
    do(update_agent(life.world.service, call(), life.world.operator, life.agent_id, changes))


def status(life: Life) -> str:
    """The agent's, once all that was noticed has been answered."""
    life.world.trail()
    return life.world.agent(life.agent_id).status


def system(life: Life) -> list[Entry]:
    """What the service has done to the agent by itself."""
    entries = life.world.trail(agent_id=life.agent_id)
    return [entry for entry in entries if entry.actor_kind == "system"]


def steal(life: Life) -> None:
    """A thief brings a complete pair that the agent has retired."""
    life.rotate(presented(life.pairs[0]))


@pytest.mark.parametrize("what", STATUS)
def test_what_the_developer_has_chosen_follows(life: Life, what: OnReuse) -> None:
    on_reuse(life, what)
    steal(life)
    assert status(life) == STATUS[what]
    assert life.world.agent(life.stranger_id).status == "active"


@pytest.mark.parametrize("what", DOING)
def test_what_follows_is_an_entry_that_names_the_reuse(life: Life, what: OnReuse) -> None:
    on_reuse(life, what)
    steal(life)
    [reuse] = life.world.trail(action="credential.reused")
    [entry] = system(life)
    assert (entry.action, entry.outcome) == (DOING[what], "success")
    assert (entry.agent_id, entry.developer_id) == (reuse.agent_id, reuse.developer_id)
    assert entry.details == {"status": STATUS[what], "reason": "reuse", "reuse": reuse.id}


def test_an_alert_changes_nothing(life: Life) -> None:
    before = life.world.agent(life.agent_id)
    steal(life)
    assert system(life) == []
    assert (life.world.agent(life.agent_id) == before) is True


@pytest.mark.parametrize(
    "shown",
    [
        lambda life: life.look(life.pairs[0]),
        lambda life: life.rotate(life.mixed(life.pairs[0], life.pairs[1])),
        lambda life: life.rotate(life.mixed(life.pairs[2], life.pairs[1])),
    ],
    ids=["the key", "two generations", "the secret"],
)
def test_nothing_follows_from_less_than_a_pair(life: Life, shown: Callable[[Life], None]) -> None:
    on_reuse(life, "revoke")
    shown(life)
    assert status(life) == "active"


def test_a_quarantined_agent_cannot_rotate_until_its_developer_does(life: Life) -> None:
    on_reuse(life, "quarantine")
    steal(life)
    assert status(life) == "quarantined"
    own = rotate_own_credentials(life.world.service, call(), presented(life.pairs[2]))
    assert code_of(own) == "agent_quarantined"
    lift(life)
    assert status(life) == "active"


def lift(life: Life) -> None:
    do(rotate_for_developer(life.world.service, call(), life.world.operator, life.agent_id))


@pytest.mark.parametrize("what", DOING)
def test_what_was_seen_before_a_developer_rotated_does_not_strike_the_new_pair(
    life: Life, what: OnReuse
) -> None:
    on_reuse(life, what)
    steal(life)
    lift(life)
    assert status(life) == "active"
    [reuse] = life.world.trail(action="credential.reused")
    assert reuse.details["severity"] == "critical"


def test_what_was_seen_before_the_thief_rotated_strikes_the_new_pair(life: Life) -> None:
    on_reuse(life, "revoke")
    steal(life)
    do(rotate_own_credentials(life.world.service, call(), presented(life.pairs[-1])))
    assert status(life) == "revoked"


def test_after_a_developer_lifted_it_the_next_reuse_quarantines_again(life: Life) -> None:
    on_reuse(life, "quarantine")
    for times in (1, 2, 3):
        steal(life)
        assert status(life) == "quarantined"
        assert len(system(life)) == times
        lift(life)
        assert status(life) == "active"


def test_what_is_only_counted_later_does_not_quarantine_again(life: Life) -> None:
    on_reuse(life, "quarantine")
    for _ in range(5):
        steal(life)
    assert status(life) == "quarantined"
    steal(life)
    steal(life)
    assert status(life) == "quarantined"
    lift(life)
    life.world.clock.wait(16 * MINUTE)
    assert status(life) == "active"
    assert sum(counts(life.world.trail(action="credential.reused"))) == 7
    assert len(system(life)) == 1


def test_what_is_only_counted_later_does_not_end_a_reinstated_agent(life: Life) -> None:
    on_reuse(life, "revoke")
    for _ in range(5):
        steal(life)
    assert status(life) == "revoked"
    do(reinstate_agent(life.world.service, call(), life.world.operator, life.agent_id))
    life.world.clock.wait(16 * MINUTE)
    assert status(life) == "active"


def test_a_stricter_choice_counts_for_the_next_reuse(life: Life) -> None:
    steal(life)
    assert status(life) == "active"
    on_reuse(life, "quarantine")
    assert status(life) == "active"
    steal(life)
    assert status(life) == "quarantined"
    on_reuse(life, "revoke")
    steal(life)
    assert status(life) == "revoked"


def test_an_agent_that_was_revoked_before_stays_so_without_another_entry(life: Life) -> None:
    on_reuse(life, "revoke")
    do(revoke_for_developer(life.world.service, call(), life.world.operator, life.agent_id, ""))
    steal(life)
    assert status(life) == "revoked"
    assert system(life) == []


def test_a_deleted_agent_is_left_alone(life: Life) -> None:
    on_reuse(life, "revoke")
    steal(life)
    life.world.edit(f"PRAGMA foreign_keys = ON; DELETE FROM agents WHERE id = '{life.agent_id}'")
    assert len(noticed(life.world)) == 1
    assert system(life) == []


STEPS = [
    ("limits before", 1),
    ("limits after", 1),
    ("limits before", 2),
    ("limits after", 2),
    ("store before", 1),
    ("store after", 1),
    ("limits before", 3),
    ("limits after", 3),
]


@pytest.mark.parametrize("what", DOING)
@pytest.mark.parametrize(("place", "at"), STEPS, ids=str)
def test_an_interruption_at_any_step_answers_it_once(
    life: Life, place: str, at: int, what: OnReuse
) -> None:
    on_reuse(life, what)
    steal(life)
    interruption = Interruption(at)
    with pytest.raises(Unavailable):
        do(move_refusals_to_trail(interrupted(life.world.service, place, interruption)))
    assert interruption.times == at
    assert status(life) == STATUS[what]
    assert [entry.action for entry in system(life)] == [DOING[what]]
    assert len(noticed(life.world)) == 1


@pytest.mark.parametrize(("place", "at"), STEPS, ids=str)
def test_an_interruption_at_any_step_loses_no_report(life: Life, place: str, at: int) -> None:
    reported: list[Entry] = []
    service = replace(life.world.service, report_reuse=reported.append)
    steal(life)
    with pytest.raises(Unavailable):
        do(move_refusals_to_trail(interrupted(service, place, Interruption(at))))
    do(move_refusals_to_trail(service))
    if (place, at) != ("store after", 1):  # Nobody knows whether that commit was kept.
        assert [entry.details["severity"] for entry in reported] == ["critical"]


def test_every_entry_of_a_reuse_is_reported_and_nothing_else_is(life: Life) -> None:
    reported: list[Entry] = []
    service = replace(life.world.service, report_reuse=reported.append)
    for _ in range(3):
        steal(life)
    life.look(life.pairs[1])
    for _ in range(2):
        do(move_refusals_to_trail(service))
    assert [entry.details["severity"] for entry in reported] == ["critical", "warning"]
    life.world.clock.wait(16 * MINUTE)
    do(move_refusals_to_trail(service))
    assert counts(reported) == [1, 1, 2]


class Failing(Around):
    """A store on which one statement fails."""

    def __init__(self, store: Any, query: str) -> None:
        super().__init__(store)
        self._query = query

    async def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Result:
        return await super().write(
            lambda tx: work(FailingTransaction(tx, self._query)), alone=alone
        )


class FailingTransaction:
    def __init__(self, tx: Transaction, query: str) -> None:
        self._tx = tx
        self._query = query
        self.fence = tx.fence
        self.execute_later = tx.execute_later
        self.one = tx.one
        self.all = tx.all

    def execute(self, query: str, /, **values: Any) -> int:
        changed = self._tx.execute(query, **values)
        if query == self._query:
            raise Unavailable(query)
        return changed


@pytest.mark.parametrize(
    ("what", "query"), [("quarantine", "quarantine_agent"), ("revoke", "revoke_agent")]
)
def test_the_entry_and_what_follows_are_kept_together_or_not_at_all(
    life: Life, what: OnReuse, query: str
) -> None:
    on_reuse(life, what)
    steal(life)
    service = replace(life.world.service, store=Failing(life.world.service.store, query))
    before = life.world.look(lambda tx: tx.all(tuple_of, "audit_of_agent", **of(life)))
    with pytest.raises(Unavailable):
        do(move_refusals_to_trail(service))
    after = life.world.look(lambda tx: tx.all(tuple_of, "audit_of_agent", **of(life)))
    assert before == after
    assert life.world.agent(life.agent_id).status == "active"
    assert status(life) == STATUS[what]
    assert len(noticed(life.world)) == 1


def of(life: Life) -> dict[str, Any]:
    return {
        "agent_id": life.agent_id,
        "before_at": 2**62,
        "before_seq": 0,
        "since": 0,
        "limit": 1000,
        **dict.fromkeys(["developer_id", "action"]),
    }


def tuple_of(*columns: object) -> tuple[object, ...]:
    return columns
