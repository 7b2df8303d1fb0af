"""Sessions begin with a password and end in many ways; a code makes the first operator once."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from keyturn.actions import passwords
from keyturn.actions import sign_in as signing_in
from keyturn.actions.authenticate import authenticate_developer, authenticate_service
from keyturn.actions.invite_developer import LIFETIME, accept_invitation, invite, invite_again
from keyturn.actions.manage_developers import disable_developer
from keyturn.actions.note_use import write_uses
from keyturn.actions.sessions import change_password
from keyturn.actions.set_up import CODE_LIFETIME, set_up, setup_code
from keyturn.actions.sign_in import (
    ACCOUNT_LIMIT,
    ADDRESS_LIMIT,
    NewSession,
    Tries,
    authenticate_session,
    sign_in,
)
from keyturn.core.errors import (
    EmailTaken,
    InvalidToken,
    KeyturnError,
    SessionEnded,
    SetUpAlready,
    TooManySignIns,
    WrongCode,
    WrongPassword,
)
from keyturn.core.rate_limit import Limit
from keyturn.core.session import MAX_AGE, MAX_IDLE
from tests.actions.keeper import Keeper
from tests.actions.world import World, call
from tests.storage.batches import do

EMAIL, PASSWORD = "bob@example.com", "bob's long password"


@pytest.fixture
def bob(world: World) -> NewSession:
    """A developer who has joined, in a browser of theirs."""
    invited = do(invite(world.service, call(), world.operator, EMAIL, operator=False))
    return do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))


def is_alive(world: World, made: NewSession) -> bool:
    with contextlib.suppress(SessionEnded):
        do(authenticate_session(world.service, made.credential.reveal()))
        return True
    return False


def test_a_session_that_is_not_used_ends_and_one_that_is_goes_on(
    world: World, bob: NewSession
) -> None:
    world.clock.wait(MAX_IDLE - 1)
    assert is_alive(world, bob)
    do(write_uses(world.service))
    world.clock.wait(MAX_IDLE - 1)
    assert is_alive(world, bob)
    do(write_uses(world.service))
    world.clock.wait(MAX_IDLE)
    assert not is_alive(world, bob)


def test_no_session_outlives_a_week_and_housekeeping_removes_what_is_left(
    world: World, bob: NewSession
) -> None:
    keeper = Keeper(world)
    keeper.after(0)
    for _ in range(MAX_AGE // (MAX_IDLE // 2) - 1):
        keeper.after(MAX_IDLE // 2)
        assert is_alive(world, bob)
        do(write_uses(world.service))
    keeper.after(MAX_IDLE // 2)
    assert not is_alive(world, bob)
    kept = do(
        world.service.store.read(
            lambda tx: tx.all(
                str, "tokens_of_kind", developer_id=bob.session.developer_id, kind="ss"
            )
        )
    )
    assert kept == []


def test_disabling_a_developer_ends_their_sessions_and_codes(world: World, bob: NewSession) -> None:
    invited = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    for developer_id in (bob.session.developer_id, invited.developer.id):
        do(disable_developer(world.service, call(), world.operator, developer_id))
    assert not is_alive(world, bob)
    with pytest.raises(WrongPassword):
        do(sign_in(world.service, call(), EMAIL, PASSWORD, None))
    with pytest.raises(WrongCode):
        do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))


@pytest.mark.parametrize(
    ("case", "email", "password"),
    [
        ("a wrong password", EMAIL, "certainly not this"),
        ("nobody", "nobody@example.com", PASSWORD),
        ("the built-in owner, who has no email", "", PASSWORD),
        ("a password that is too long to be one", EMAIL, "x" * 5000),
    ],
)
@pytest.mark.usefixtures("bob")
def test_who_is_wrong_is_not_told_why(world: World, case: str, email: str, password: str) -> None:
    with pytest.raises(WrongPassword) as refused:
        do(sign_in(world.service, call(), email, password, None))
    assert refused.value.detail == WrongPassword.detail, case


@pytest.mark.usefixtures("bob")
def test_an_email_is_known_in_capitals_too(world: World) -> None:
    do(sign_in(world.service, call(), f" {EMAIL.upper()} ", PASSWORD, None))


@pytest.mark.usefixtures("bob")
def test_signing_in_rightly_costs_no_try(world: World) -> None:
    for _ in range(12):
        do(sign_in(world.service, call(), EMAIL, PASSWORD, None))


def test_a_mark_of_another_developers_browser_opens_nothing(world: World, bob: NewSession) -> None:
    invited = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    eve = do(accept_invitation(world.service, call(), invited.code.reveal(), "eve's password 1"))
    here = call()
    for _ in range(10):
        with pytest.raises(WrongPassword):
            do(sign_in(world.service, here, EMAIL, "certainly not this", eve.device))
    with pytest.raises(TooManySignIns):
        do(sign_in(world.service, here, EMAIL, PASSWORD, eve.device))
    do(sign_in(world.service, here, EMAIL, PASSWORD, bob.device))


@pytest.mark.usefixtures("bob")
def test_a_mark_that_nobody_of_ours_wrote_is_none(world: World) -> None:
    do(sign_in(world.service, call(), EMAIL, PASSWORD, "a.\u00e9"))


def test_a_browser_is_not_known_any_more_when_the_password_changes(
    world: World, bob: NewSession
) -> None:
    before = do(sign_in(world.service, call(), EMAIL, PASSWORD, None))
    changed = do(
        change_password(world.service, call(), before.session, PASSWORD, "bob's other password")
    )
    here = call()
    for mark in [bob.device] * 5 + [before.device] * 5:
        with pytest.raises(WrongPassword):
            do(sign_in(world.service, here, EMAIL, PASSWORD, mark))
    for mark in (bob.device, before.device):
        with pytest.raises(TooManySignIns):
            do(sign_in(world.service, here, EMAIL, PASSWORD, mark))
    do(sign_in(world.service, here, EMAIL, "bob's other password", changed.device))


@pytest.mark.parametrize(
    ("limit", "told"), [(ADDRESS_LIMIT, "15 minutes"), (ACCOUNT_LIMIT, "60 minutes")]
)
def test_who_tried_too_often_is_told_how_long_to_wait(
    world: World, limit: Limit, told: str
) -> None:
    tries, here = Tries(((limit, "of somebody"),)), call()
    for _ in range(limit.quota):
        do(tries.take(world.service, here))
    with pytest.raises(TooManySignIns) as refused:
        do(tries.take(world.service, here))
    assert refused.value.detail.endswith(f"try again in {told}")
    assert here.verdict and here.verdict.reset_seconds == limit.window_seconds


def test_a_try_that_the_account_refuses_costs_the_address_none(world: World) -> None:
    address, account = (ADDRESS_LIMIT, "an address"), (ACCOUNT_LIMIT, "an account")
    for _ in range(ACCOUNT_LIMIT.quota):
        do(Tries((account,)).take(world.service, call()))
    for _ in range(ADDRESS_LIMIT.quota + 1):
        with pytest.raises(TooManySignIns) as refused:
            do(Tries((address, account)).take(world.service, call()))
        assert refused.value.detail.endswith("60 minutes")
    for _ in range(ADDRESS_LIMIT.quota):
        do(Tries((address,)).take(world.service, call()))


def test_what_is_typed_as_the_email_is_kept_nowhere(world: World) -> None:
    typed = "a password that was typed too early"
    with pytest.raises(WrongPassword):
        do(sign_in(world.service, call(), typed, "x", None))
    kept = [path.name for path in world.folder.iterdir() if typed.encode() in path.read_bytes()]
    assert kept == []


def test_a_code_that_was_given_before_the_password_changed_is_dead(
    world: World, bob: NewSession
) -> None:
    invited = do(invite_again(world.service, call(), world.operator, bob.session.developer_id))
    do(change_password(world.service, call(), bob.session, PASSWORD, "bob's other password"))
    with pytest.raises(WrongCode):
        do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))


def test_a_password_that_is_changed_while_it_is_checked_opens_nothing(
    world: World, bob: NewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment is made certain: the check ends only after the change."""
    is_right = passwords.is_right

    async def slowly(password: str, kept: str | None) -> bool:
        monkeypatch.setattr(signing_in, "is_right", is_right)
        right = await is_right(password, kept)
        new = "bob's newer password"
        await change_password(world.service, call(), bob.session, PASSWORD, new)
        return right

    monkeypatch.setattr(signing_in, "is_right", slowly)
    with pytest.raises(WrongPassword):
        do(sign_in(world.service, call(), EMAIL, PASSWORD, None))


@pytest.mark.parametrize("authenticate", [authenticate_developer, authenticate_service])
def test_a_session_is_no_token_of_the_api(
    world: World, bob: NewSession, authenticate: Callable[..., Any]
) -> None:
    shown = bob.credential.reveal()
    text = f"Bearer {shown}" if authenticate is authenticate_developer else shown
    with pytest.raises(InvalidToken):
        do(authenticate(world.service, call(), text))


def test_an_invitation_ends_after_a_week(world: World) -> None:
    invited = do(invite(world.service, call(), world.operator, EMAIL, operator=False))
    world.clock.wait(LIFETIME)
    with pytest.raises(WrongCode):
        do(accept_invitation(world.service, call(), invited.code.reveal(), PASSWORD))


def test_of_two_who_have_one_invitation_one_joins(world: World) -> None:
    invited = do(invite(world.service, call(), world.operator, EMAIL, operator=False))

    async def both() -> list[NewSession | BaseException]:
        joining = [
            accept_invitation(world.service, call(), invited.code.reveal(), f"{PASSWORD} {number}")
            for number in range(2)
        ]
        return await asyncio.gather(*joining, return_exceptions=True)

    made = do(both())
    assert sorted(type(each).__name__ for each in made) == ["NewSession", "WrongCode"]


def test_nobody_is_invited_twice_under_one_email(world: World) -> None:
    do(invite(world.service, call(), world.operator, EMAIL, operator=False))
    with pytest.raises(EmailTaken):
        do(invite(world.service, call(), world.operator, EMAIL.upper(), operator=True))


@pytest.fixture
def without_operator(world: World) -> World:
    """An installation whose operator is gone."""
    do(disable_developer(world.service, call(), world.operator, world.operator.developer_id))
    return world


def test_of_two_who_have_the_setup_code_one_becomes_operator(without_operator: World) -> None:
    service = without_operator.service
    code = do(setup_code(service))
    assert code is not None

    async def both() -> list[NewSession | BaseException]:
        emails = ("ann@example.com", "ben@example.com")
        made = [set_up(service, call(), code, email, PASSWORD) for email in emails]
        return await asyncio.gather(*made, return_exceptions=True)

    results = do(both())
    (session,) = [each for each in results if isinstance(each, NewSession)]
    (refused,) = [each for each in results if isinstance(each, KeyturnError)]
    assert isinstance(refused, SetUpAlready | WrongCode)
    assert session.session.operator
    assert do(setup_code(service)) is None


def test_the_setup_code_is_the_same_for_an_hour(without_operator: World) -> None:
    service = without_operator.service
    first = do(setup_code(service))
    without_operator.clock.wait(CODE_LIFETIME - 1)
    assert do(setup_code(service)) == first
    without_operator.clock.wait(1)
    assert first is not None
    with pytest.raises(WrongCode):
        do(set_up(service, call(), first, EMAIL, PASSWORD))
    assert do(setup_code(service)) != first
