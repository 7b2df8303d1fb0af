"""Floods of refusals over time: the first, one count every 15 minutes, and silence ends it."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from keyturn.actions.authenticate import authenticate_developer
from keyturn.actions.manage_agents import delete_agent
from keyturn.actions.move_refusals import move_refusals_to_trail
from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.core.audit_trail import Entry
from keyturn.core.errors import AgentNotFound, InvalidToken, KeyturnError, Unavailable
from keyturn.core.instant import rfc3339
from tests.actions.world import MINUTE, SECOND, START, Around, World, bearer, call, presented
from tests.storage.batches import do

ADDRESS = "203.0.113.7"
QUARTER = 15 * MINUTE
UNKNOWN_KEY = "Bearer sk_live_ak_" + "0" * 49
UNKNOWN_PAIR = Presented(UNKNOWN_KEY, "sk_live_rs_" + "0" * 49)


def refuse(service: Service, times: int = 1, address: str = ADDRESS) -> None:
    """Present a token that nobody has, so many times."""
    for _ in range(times):
        with pytest.raises(InvalidToken):
            do(authenticate_developer(service, call(address), "Bearer nobody"))


def rotate(service: Service, what: Presented, address: str = ADDRESS) -> str:
    """The code of the refusal of a rotation."""
    try:
        do(rotate_own_credentials(service, call(address), what))
    except KeyturnError as error:
        return error.code
    return ""


def wait(world: World, milliseconds: int) -> list[Entry]:
    """Let time pass; a running service moves refusals to the trail all the while. The trail."""
    world.trail()
    world.clock.wait(milliseconds)
    return world.trail()


def counts(entries: list[Entry]) -> list[int | None]:
    """What each entry stands for: a count, or one refusal (None)."""
    return [entry.details.get("count") for entry in entries]


def test_the_first_is_an_entry_at_once_and_those_after_it_wait(world: World) -> None:
    refuse(world.service, 6)
    [entry] = world.trail()
    assert (entry.action, entry.outcome, entry.address) == ("token.refused", "refused", ADDRESS)
    assert (entry.at, entry.details) == (START, {"reason": "invalid_token"})
    assert counts(wait(world, QUARTER - 1)) == [None]


def test_every_15_minutes_have_one_count_until_there_is_silence(world: World) -> None:
    refuse(world.service, 6)
    assert counts(wait(world, QUARTER)) == [None, 5]
    refuse(world.service, 3)
    assert counts(wait(world, QUARTER)) == [None, 5, 3]
    refuse(world.service, 1)
    assert counts(wait(world, QUARTER)) == [None, 5, 3, 1]
    for _ in range(3):
        assert len(wait(world, QUARTER)) == 4
    refuse(world.service, 2)
    assert counts(wait(world, 0)) == [None, 5, 3, 1, None]


def test_a_count_tells_what_it_counts_and_when(world: World) -> None:
    refuse(world.service, 4)
    count = wait(world, QUARTER + 5 * SECOND)[-1]
    assert count.details == {
        "reason": "invalid_token",
        "count": 3,
        "from": rfc3339(START),
        "to": rfc3339(START + QUARTER),
    }
    assert (count.action, count.outcome, count.address) == ("token.refused", "refused", ADDRESS)
    assert (count.actor_kind, count.agent_id, count.request_id) == ("anonymous", None, None)


def test_an_address_reason_and_action_are_counted_for_themselves(world: World) -> None:
    refuse(world.service, 2)
    refuse(world.service, 3, "203.0.113.8")
    service = world.service
    codes = [rotate(service, UNKNOWN_PAIR) for _ in range(7)]
    assert codes == ["invalid_credentials"] * 3 + ["too_many_rotation_attempts"] * 4
    total: Counter[tuple[str, str, str | None]] = Counter()
    for entry in wait(world, QUARTER):
        key = (entry.action, entry.details["reason"], entry.address)
        total[key] += entry.details.get("count", 1)
    refused = "credential.rotation_refused"
    assert total == {
        ("token.refused", "invalid_token", ADDRESS): 2,
        ("token.refused", "invalid_token", "203.0.113.8"): 3,
        (refused, "invalid_credentials", ADDRESS): 3,
        (refused, "too_many_rotation_attempts", ADDRESS): 4,
    }


def test_refusals_that_name_an_agent_are_entries_each(world: World) -> None:
    made = world.register()
    wrong = Presented(bearer(made.pair), UNKNOWN_PAIR.rotation_secret)
    for number in range(15):
        rotate(world.service, wrong, f"192.0.2.{number}")
    entries = world.trail(action="credential.rotation_refused")
    assert [entry.agent_id for entry in entries] == [made.agent_id] * 15
    assert {entry.address for entry in entries} == {f"192.0.2.{number}" for number in range(15)}


def test_past_a_429_even_refusals_of_a_known_agent_are_counted(world: World) -> None:
    made = world.register()
    wrong = Presented(bearer(made.pair), UNKNOWN_PAIR.rotation_secret)
    for _ in range(30):
        rotate(world.service, wrong)
    entries = world.trail(action="credential.rotation_refused")
    reasons = Counter(entry.details["reason"] for entry in entries)
    assert reasons == {"invalid_credentials": 3, "too_many_rotation_attempts": 1}


def test_a_developers_refusals_that_name_no_agent_are_counted_too(world: World) -> None:
    _, principal = world.developer()
    for _ in range(40):
        with pytest.raises(AgentNotFound):
            do(delete_agent(world.service, call(ADDRESS), principal, "no such agent"))
    entries = [entry for entry in wait(world, QUARTER) if entry.action == "agent.deleted"]
    assert counts(entries) == [None, 39]


def test_a_flood_from_many_addresses_makes_ten_entries_a_second_and_loses_none(
    world: World,
) -> None:
    for number in range(60):
        refuse(world.service, 2, f"192.0.2.{number}")
    assert counts(world.trail()) == [None] * 10
    world.clock.wait(SECOND)
    refuse(world.service, 1, "198.51.100.1")
    lengths = [len(wait(world, QUARTER))] + [len(wait(world, SECOND)) for _ in range(3)]
    assert lengths == [21, 22, 22, 22]
    entries = world.trail()
    # Ten addresses had one more each; the other fifty are known by their number alone.
    assert sorted(count or 0 for count in counts(entries)) == [0] * 11 + [1] * 10 + [100]
    assert [entry.address for entry in entries if entry.details.get("count") == 100] == [None]


def test_many_windows_that_end_at_once_close_ten_a_second(world: World) -> None:
    for second in range(4):
        for number in range(10):
            refuse(world.service, 2, f"192.0.2.{second * 10 + number}")
        wait(world, SECOND)
    lengths = [len(wait(world, QUARTER))] + [len(wait(world, SECOND)) for _ in range(5)]
    assert lengths == [50, 60, 70, 80, 80, 80]
    assert counts(world.trail()) == [None] * 40 + [1] * 40


def test_within_one_second_the_cap_holds_however_often_refusals_are_moved(world: World) -> None:
    for number in range(30):
        refuse(world.service, 1, f"192.0.2.{number}")
        world.clock.wait(30)
        do(move_refusals_to_trail(world.service))
    assert len(world.trail()) == 10


def test_processes_count_together(world: World) -> None:
    other = world.process()

    async def both() -> None:
        await asyncio.gather(*map(move_refusals_to_trail, [world.service, other] * 3))

    for service in (world.service, other):
        refuse(service, 5)
    do(both())
    assert counts(world.trail()) == [None]
    world.clock.wait(QUARTER)
    do(both())
    assert counts(world.trail()) == [None, 9]


def test_refusals_stand_in_the_trail_in_the_order_in_which_they_happened(world: World) -> None:
    made = world.register()
    wrong = Presented(bearer(made.pair), UNKNOWN_PAIR.rotation_secret)
    for number in range(8):
        world.clock.wait(10)
        rotate(world.service, wrong, f"192.0.2.{number}")
    times = [entry.at for entry in world.trail()]
    assert times == sorted(times)


def test_a_refusal_names_no_credential(world: World) -> None:
    made = world.register()
    named = call(ADDRESS)
    named.user_agent = f"agent with {made.pair.api_key.reveal()}"
    what = Presented(bearer(made.pair), made.pair.api_key.reveal())
    with pytest.raises(KeyturnError):
        do(rotate_own_credentials(world.service, named, what))
    entry = world.trail()[-1]
    assert entry.user_agent == f"agent with {made.pair.api_key.masked}"
    assert (made.pair.api_key.reveal()[11:] in str(entry)) is False


async def no_answer() -> None:
    raise Unavailable("no answer")


def test_where_attempts_cannot_be_counted_nothing_passes(world: World) -> None:
    made = world.register()
    service = replace(world.service, limits=Around(world.service.limits, before=no_answer))
    assert rotate(service, presented(made.pair)) == "unavailable"
    assert world.agent(made.agent_id).generation == 1
