"""Server keys: added ones are moved to, missing and wrong ones refuse the start."""

from dataclasses import replace
from pathlib import Path

import pytest

from keyturn.actions.authenticate import authenticate_agent, authenticate_developer
from keyturn.actions.guard_server_keys import (
    Dependents,
    MissingServerKey,
    UnknownServerKey,
    abandon_server_key,
    check_server_keys,
    dependents_of,
    register_server_keys,
)
from keyturn.actions.keep_house import forget_old_charges, forget_old_retired
from keyturn.actions.note_use import write_uses
from keyturn.actions.register_agent import Registered
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.actions.verify_key import Check
from keyturn.core.credential import Credential
from keyturn.core.errors import InvalidCredentials, InvalidToken, Unavailable
from keyturn.core.keyed_hash import Keyring, ServerKey
from keyturn.core.token import Token
from tests.actions.checked import ONCE, Shop
from tests.actions.world import FIRST_KEY, SECOND_KEY, START, World, bearer, call, presented
from tests.storage.backends import Place
from tests.storage.batches import do

WRONG_KEY = ServerKey("k1", b"3" * 32)


def keys_of(world: World, made: Registered) -> tuple[str, str | None]:
    """The server keys that the agent's API key and rotation secret are kept under."""
    agent = world.agent(made.agent_id)
    return agent.key_server_key, agent.secret_server_key


def use_key(service: Service, made: Registered) -> None:
    do(authenticate_agent(service, call(), bearer(made.pair)))
    do(write_uses(service))


def use_token(service: Service, token: Credential) -> None:
    do(authenticate_developer(service, call(), f"Bearer {token.reveal()}"))
    do(write_uses(service))


def token_of(world: World, developer_id: str) -> Token:
    [found] = world.look(
        lambda tx: tx.all(
            Token, "tokens", kind="dt", developer_id=developer_id, before=2**63 - 1, limit=10
        )
    )
    return found


def test_after_a_key_is_added_every_credential_stays_good(world: World) -> None:
    made, (welcomed, _) = world.register(), world.developer()
    later = world.process(SECOND_KEY, FIRST_KEY)
    use_key(later, made)
    use_token(later, welcomed.token)
    rotated = do(rotate_own_credentials(later, call(), presented(made.pair)))
    use_key(later, replace(made, pair=rotated.pair))


def test_an_api_key_moves_to_the_current_key_on_its_next_use(world: World) -> None:
    made, unused = world.register(), world.register()
    later = world.process(SECOND_KEY, FIRST_KEY)
    use_key(later, made)
    assert keys_of(world, made) == ("k2", "k1")
    assert keys_of(world, unused) == ("k1", "k1")
    # From now on the first key is not needed for it any more.
    only_second = world.process(SECOND_KEY)
    use_key(only_second, made)
    with pytest.raises(Unavailable):
        use_key(only_second, unused)


def test_a_rotation_moves_both_credentials(world: World) -> None:
    made = world.register()
    later = world.process(SECOND_KEY, FIRST_KEY)
    do(rotate_own_credentials(later, call(), presented(made.pair)))
    assert keys_of(world, made) == ("k2", "k2")


def test_a_token_moves_to_the_current_key_on_its_next_use(world: World) -> None:
    welcomed, principal = world.developer()
    later = world.process(SECOND_KEY, FIRST_KEY)
    assert token_of(world, principal.developer_id).server_key == "k1"
    use_token(later, welcomed.token)
    assert token_of(world, principal.developer_id).server_key == "k2"
    use_token(world.process(SECOND_KEY), welcomed.token)


def test_a_move_neither_changes_the_generation_nor_comes_twice(world: World) -> None:
    made = world.register()
    later = world.process(SECOND_KEY, FIRST_KEY)
    before = world.agent(made.agent_id)
    use_key(later, made)
    use_key(later, made)
    after = world.agent(made.agent_id)
    assert (after.generation, after.key_created_at) == (1, before.key_created_at)
    assert after.last_used_at == START
    assert (after.key_mac == later.keyring.mac(made.pair.api_key).digest) is True


def test_a_move_that_a_rotation_overtook_changes_nothing(world: World) -> None:
    made = world.register()
    later = world.process(SECOND_KEY, FIRST_KEY)
    do(authenticate_agent(later, call(), bearer(made.pair)))
    rotated = do(rotate_own_credentials(world.service, call(), presented(made.pair)))
    between = world.agent(made.agent_id)
    do(write_uses(later))
    assert world.agent(made.agent_id).key_mac == between.key_mac
    use_key(later, replace(made, pair=rotated.pair))
    with pytest.raises(InvalidCredentials):
        do(authenticate_agent(later, call(), bearer(made.pair)))


def test_a_use_is_written_once_and_only_forward(world: World) -> None:
    made = world.register()
    behind = world.process()
    do(authenticate_agent(behind, call(), bearer(made.pair)))
    world.clock.wait(5000)
    use_key(world.service, made)
    do(write_uses(behind))
    assert world.agent(made.agent_id).last_used_at == START + 5000


def test_nothing_is_missing_while_every_key_is_there(world: World) -> None:
    world.register()
    for keys in ([FIRST_KEY], [FIRST_KEY, SECOND_KEY], [SECOND_KEY, FIRST_KEY]):
        do(check_server_keys(world.service.store, keys))


def test_a_missing_key_refuses_the_start_and_tells_what_needs_it(world: World) -> None:
    world.register()
    world.register()
    world.developer()
    with pytest.raises(MissingServerKey, match=r"'k1' is missing, and 2 agents.* 1 tokens need it"):
        do(check_server_keys(world.service.store, [SECOND_KEY]))


def test_a_key_that_a_rotation_secret_alone_needs_is_missed_too(world: World) -> None:
    made = world.register()
    later = world.process(SECOND_KEY, FIRST_KEY)
    use_key(later, made)
    with pytest.raises(MissingServerKey, match="1 agents"):
        do(check_server_keys(later.store, [SECOND_KEY]))
    do(rotate_own_credentials(later, call(), presented(made.pair)))
    do(check_server_keys(later.store, [SECOND_KEY]))


def test_a_key_that_only_retired_credentials_need_is_missed_for_as_long_as_they_are_kept(
    world: World,
) -> None:
    made = world.register()
    do(rotate_for_developer(world.service, call(), world.operator, made.agent_id))
    later = world.process(SECOND_KEY, FIRST_KEY)
    do(rotate_for_developer(later, call(), world.operator, made.agent_id))
    with pytest.raises(MissingServerKey, match="0 agents, 2 retired credentials, 0 receipts"):
        do(check_server_keys(later.store, [SECOND_KEY]))
    world.clock.wait(days=366)
    do(forget_old_retired(later))
    assert do(dependents_of(later.store, "k1")) == Dependents(tokens=1)


def test_a_key_that_a_charge_needs_is_missed_for_as_long_as_the_charge_is_kept(
    world: World,
) -> None:
    key = world.register().pair.api_key.reveal()
    Shop(world).check(Check(key, 1), once=ONCE)
    with pytest.raises(MissingServerKey, match="1 charges"):
        do(check_server_keys(world.service.store, [SECOND_KEY]))
    world.clock.wait(days=1)
    do(forget_old_charges(world.service))
    assert do(dependents_of(world.service.store, "k1")).charges == 0


def test_a_key_that_nothing_needs_may_be_taken_away(world: World) -> None:
    do(check_server_keys(world.service.store, [SECOND_KEY]))


def test_an_installation_that_never_had_a_key_starts_without(tmp_path: Path) -> None:
    with Place("sqlite", "keyturn.db", tmp_path / "new").opened() as store:
        do(check_server_keys(store, []))


def test_without_any_key_an_installation_that_had_one_refuses_the_start(world: World) -> None:
    with pytest.raises(MissingServerKey, match="'k1'"):
        do(check_server_keys(world.service.store, []))
    abandon(world, "k1")
    do(check_server_keys(world.service.store, []))


def test_another_key_of_the_same_id_refuses_the_start(world: World) -> None:
    for keys in ([WRONG_KEY], [SECOND_KEY, WRONG_KEY]):
        with pytest.raises(MissingServerKey, match="'k1' is not the one"):
            do(check_server_keys(world.service.store, keys))


def abandon(world: World, key_id: str) -> None:
    now, entry_id = world.clock.now, world.service.new_id()
    do(abandon_server_key(world.service.store, key_id, now=now, entry_id=entry_id))


def test_an_abandoned_key_no_longer_refuses_the_start(world: World) -> None:
    made = world.register()
    assert do(dependents_of(world.service.store, "k1")) == Dependents(agents=1, tokens=0)
    abandon(world, "k1")
    do(check_server_keys(world.service.store, [SECOND_KEY]))
    with pytest.raises(InvalidCredentials):
        use_key(world.process(SECOND_KEY), made)
    entry = world.trail()[-1]
    assert (entry.action, entry.actor_kind) == ("server_key.abandoned", "command_line")
    assert entry.details == {"serverKeyId": "k1"}


def test_tokens_under_an_abandoned_key_are_dead(world: World) -> None:
    welcomed, _ = world.developer()
    abandon(world, "k1")
    with pytest.raises(InvalidToken):
        use_token(world.process(SECOND_KEY), welcomed.token)


def test_a_key_that_comes_back_is_needed_again(world: World) -> None:
    made = world.register()
    abandon(world, "k1")
    back = world.process(SECOND_KEY, FIRST_KEY)
    do(authenticate_agent(back, call(), bearer(made.pair)))
    with pytest.raises(MissingServerKey):
        do(check_server_keys(world.service.store, [SECOND_KEY]))


@pytest.mark.parametrize("key_id", ["k1", "k9", ""])
def test_only_a_known_key_can_be_abandoned_and_only_once(world: World, key_id: str) -> None:
    abandon(world, "k1")
    before = world.trail()
    with pytest.raises(UnknownServerKey):
        abandon(world, key_id)
    assert world.trail() == before


def test_of_two_first_starts_with_different_keys_of_one_id_only_one_succeeds(world: World) -> None:
    other = replace(world.service, keyring=Keyring([WRONG_KEY]))
    with pytest.raises(MissingServerKey, match="not the one"):
        do(register_server_keys(other))
