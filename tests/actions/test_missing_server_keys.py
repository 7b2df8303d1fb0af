"""A process that lacks a server key that another has made current: it says what it can know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from keyturn.actions.authenticate import (
    authenticate_agent,
    authenticate_developer,
    authenticate_service,
)
from keyturn.actions.guard_server_keys import missing_server_keys
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.keep_house import Housekeeping, check_ready
from keyturn.actions.manage_agents import configure_rotation_secret
from keyturn.actions.note_use import write_uses
from keyturn.actions.register_agent import Registered
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.actions.verify_key import Check, verify_keys
from keyturn.core.credential import Kind
from keyturn.core.errors import InvalidCredentials, Unavailable
from keyturn.core.keyed_hash import ServerKey
from tests.actions.world import FIRST_KEY, SECOND_KEY, Around, World, bearer, call, presented
from tests.storage.batches import do


@dataclass
class Moved:
    """An agent and a token that another process has moved to a key which `behind` lacks."""

    world: World
    ahead: Service
    made: Registered
    token: str

    @property
    def behind(self) -> Service:
        return self.world.service


@pytest.fixture
def moved(world: World) -> Moved:
    made, (welcomed, _) = world.register(), world.developer()
    token = welcomed.token.reveal()
    ahead = world.process(SECOND_KEY, FIRST_KEY)
    do(authenticate_agent(ahead, call(), bearer(made.pair)))
    do(authenticate_developer(ahead, call(), f"Bearer {token}"))
    do(write_uses(ahead))
    return Moved(world, ahead, made, token)


def checks(moved: Moved) -> list[Check]:
    return [Check(moved.made.pair.api_key.reveal())]


def charged_meanwhile(moved: Moved) -> Awaitable[Any]:
    """The key is found, and moved before its cost is taken."""
    other = moved.world.register(moved.behind)
    behind = moved.behind

    async def move() -> None:
        await authenticate_agent(moved.ahead, call(), bearer(other.pair))
        await write_uses(moved.ahead)

    store = Around(behind.store, before=move)
    return verify_keys(replace(behind, store=store), call(), None, [Check(key_of(other), 1)])


def key_of(made: Registered) -> str:
    return made.pair.api_key.reveal()


UNKNOWN: dict[str, Callable[[Moved], Awaitable[Any]]] = {
    "a check": lambda moved: authenticate_agent(moved.behind, call(), bearer(moved.made.pair)),
    "a batch": lambda moved: verify_keys(moved.behind, call(), None, checks(moved)),
    "a charge": charged_meanwhile,
    "a rotation": lambda moved: rotate_own_credentials(
        moved.behind, call(), presented(moved.made.pair)
    ),
    "a revocation": lambda moved: revoke_self(moved.behind, call(), presented(moved.made.pair)),
    "a developer": lambda moved: authenticate_developer(
        moved.behind, call(), f"Bearer {moved.token}"
    ),
    "a service": lambda moved: authenticate_service(
        moved.behind, call(), moved.behind.new_credential(Kind.SERVICE_TOKEN).reveal()
    ),
}


@pytest.mark.parametrize("ask", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_found_while_a_server_key_is_missing_is_unavailable(
    moved: Moved, ask: Callable[[Moved], Awaitable[Any]]
) -> None:
    with pytest.raises(Unavailable):
        do(ask(moved))


def test_a_secret_under_a_missing_server_key_is_unavailable(world: World) -> None:
    made, operator = world.register(), world.operator
    ahead = world.process(SECOND_KEY, FIRST_KEY)
    secret = do(configure_rotation_secret(ahead, call(), operator, made.agent_id))
    pair = Pair(made.pair.api_key, secret)
    with pytest.raises(Unavailable):
        do(rotate_own_credentials(world.service, call(), presented(pair)))
    do(rotate_own_credentials(ahead, call(), presented(pair)))


def test_what_is_malformed_or_found_is_told_as_ever(moved: Moved) -> None:
    other = moved.world.register()
    do(authenticate_agent(moved.behind, call(), bearer(other.pair)))
    good = presented(moved.made.pair)
    for wrong in (
        replace(good, authorization="Bearer no-key"),
        replace(good, rotation_secret="no-secret"),
    ):
        with pytest.raises(InvalidCredentials):
            do(rotate_own_credentials(moved.behind, call(), wrong))
    do(rotate_own_credentials(moved.behind, call(), presented(other.pair)))


@pytest.mark.parametrize("other", [SECOND_KEY, replace(SECOND_KEY, secret=b"3" * 32)])
def test_a_process_that_lacks_a_key_is_not_ready(moved: Moved, other: ServerKey) -> None:
    do(check_ready(moved.ahead))
    with pytest.raises(Unavailable):
        do(check_ready(moved.behind))
    # One that has another key of that id, as its second, lacks it as well.
    keys = type(moved.behind.keyring)([FIRST_KEY, other])
    has_it = other == SECOND_KEY
    assert ready(replace(moved.behind, keyring=keys)) == has_it


def ready(service: Service) -> bool:
    try:
        do(check_ready(service))
    except Unavailable:
        return False
    return True


def test_a_missing_key_is_logged_once_until_it_changes(moved: Moved) -> None:
    house = Housekeeping()
    with capture_logs() as logged:
        for service in (moved.behind, moved.behind, moved.ahead, moved.behind):
            do(house.watch_server_keys(service))
    assert [(each["log_level"], each["server_keys"]) for each in logged] == [("error", ["k2"])] * 2


def test_a_key_that_is_nowhere_current_is_not_missed(world: World) -> None:
    made = world.register()
    world.process(FIRST_KEY, SECOND_KEY)
    assert ready(world.service)
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(world.service, call(), f"Bearer {unknown(world.service)}"))
    do(authenticate_agent(world.service, call(), bearer(made.pair)))


def unknown(service: Service) -> str:
    return service.new_credential(Kind.API_KEY).reveal()


def test_a_key_that_nothing_is_under_is_forgotten_by_who_starts_without_it(world: World) -> None:
    only_second = world.process(SECOND_KEY)
    assert ready(only_second)
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(only_second, call(), f"Bearer {unknown(only_second)}"))


def test_a_key_that_was_given_up_is_missed_by_nobody(moved: Moved) -> None:
    moved.world.edit("UPDATE server_keys SET abandoned = 1 WHERE id = 'k2'")
    assert ready(moved.behind)
    assert ready(moved.ahead)
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(moved.behind, call(), bearer(moved.made.pair)))


def test_a_key_that_was_forgotten_while_it_is_used_is_registered_again(world: World) -> None:
    only_second = world.process(SECOND_KEY)
    assert do(missing_server_keys(world.service)) == ["k2"]
    made = world.register()
    assert not ready(only_second)
    with pytest.raises(Unavailable):
        do(authenticate_agent(only_second, call(), bearer(made.pair)))


def test_nothing_is_put_under_a_key_that_was_forgotten(world: World) -> None:
    world.process(SECOND_KEY)
    with pytest.raises(Exception, match="FOREIGN KEY"):
        world.register()
