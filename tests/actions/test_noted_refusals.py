"""Refusals that wait in memory, while the store that they go to does not answer."""

from keyturn.actions.record_audit import Attempt, make_entry
from keyturn.actions.service import MAX_REFUSED, Refused
from keyturn.core.audit_trail import Action
from tests.actions.world import World, call


def test_however_often_they_are_put_back_so_many_wait_and_none_is_lost(world: World) -> None:
    refused, entry = Refused(), make_entry(world.service, call(), Attempt(Action.TOKEN_REFUSED), {})
    for round_ in range(3):
        taken = refused.take()
        for number in range(MAX_REFUSED):
            refused.note(Action.TOKEN_REFUSED, "why", f"{round_} {number}", lambda: entry)
        refused.put_back(taken)
    kept = refused.take()
    assert len(kept) <= MAX_REFUSED + 1
    assert sum(refusal.times for refusal in kept) == 3 * MAX_REFUSED
