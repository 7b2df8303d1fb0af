"""Enrolment tokens let in as many agents as they may, and in time."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from keyturn.actions.manage_developers import disable_developer
from keyturn.actions.manage_tokens import NewToken, create_token, delete_token, enrolment_expiry
from keyturn.actions.register_agent import Application, register_agent
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import BUILT_IN_OWNER, DAY, Agent
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import InvalidRequest, KeyturnError
from keyturn.core.rate_limit import Limit
from keyturn.core.token import Token
from tests.actions.world import World, call
from tests.storage.batches import do

MODES = ["open", "enrolment", "closed"]


def enrolment(
    world: World, principal: Principal | None = None, max_uses: int = 1
) -> tuple[Token, Credential]:
    """A new enrolment token of this developer."""
    principal = principal or world.operator
    expiry = enrolment_expiry(world.service, None)
    new = NewToken(Kind.ENROLMENT_TOKEN, "a token", principal.developer_id, max_uses, expiry)
    return do(create_token(world.service, call(), principal, new))


async def attempt(service: Service, token: str | None, address: str | None = None) -> str:
    """The code of the refusal, or nothing where the agent has been registered."""
    try:
        await register_agent(service, call(address), Application(None, token))
    except KeyturnError as error:
        return error.code
    return ""


def in_mode(world: World, mode: str) -> Service:
    return world.with_policy(registration=mode)


def agents(world: World) -> list[Agent]:
    values: dict[str, Any] = dict.fromkeys(["status", "name_pattern", "id_pattern"])
    values |= {"before": 2**63 - 1, "limit": 1000}
    return world.look(lambda tx: tx.all(Agent, "agents_of_everybody", **values))


def uses(world: World, token: Token) -> int:
    found = world.look(lambda tx: tx.one(Token, "token_by_id", id=token.id))
    assert found is not None
    return found.uses


@pytest.mark.parametrize("max_uses", [1, 3])
def test_simultaneous_registrations_never_exceed_a_tokens_uses(world: World, max_uses: int) -> None:
    token, credential = enrolment(world, max_uses=max_uses)
    processes = [world.service, world.process(), world.process()]
    services = [replace(each, policy=in_mode(world, "enrolment").policy) for each in processes]

    async def all_at_once() -> list[str]:
        text = credential.reveal()
        return await asyncio.gather(*[attempt(service, text) for service in services * 5])

    codes = do(all_at_once())
    assert sorted(codes) == [""] * max_uses + ["invalid_enrolment_token"] * (15 - max_uses)
    assert len(agents(world)) == uses(world, token) == max_uses
    registered = world.trail(action="agent.registered")
    let_in = [entry for entry in registered if entry.outcome == "success"]
    assert [entry.details for entry in let_in] == [{"enrolmentTokenId": token.id}] * max_uses


def test_the_agent_belongs_to_the_developer_who_made_the_token(world: World) -> None:
    _, principal = world.developer()
    _, credential = enrolment(world, principal)
    assert do(attempt(in_mode(world, "enrolment"), credential.reveal())) == ""
    assert [agent.developer_id for agent in agents(world)] == [principal.developer_id]


@pytest.mark.parametrize(
    ("mode", "sends", "code"),
    [
        ("open", "nothing", ""),
        ("open", "a good token", ""),
        ("open", "a bad token", "invalid_enrolment_token"),
        ("enrolment", "nothing", "invalid_enrolment_token"),
        ("enrolment", "a good token", ""),
        ("enrolment", "a bad token", "invalid_enrolment_token"),
        ("closed", "nothing", "registration_closed"),
        ("closed", "a good token", "registration_closed"),
        ("closed", "a bad token", "invalid_enrolment_token"),
    ],
)
def test_the_mode_says_who_may_register(world: World, mode: str, sends: str, code: str) -> None:
    token, credential = enrolment(world)
    texts = {"nothing": None, "a good token": credential.reveal(), "a bad token": "nonsense"}
    assert do(attempt(in_mode(world, mode), texts[sends])) == code
    assert len(agents(world)) == (1 if code == "" else 0)
    assert uses(world, token) == (1 if code == "" and sends == "a good token" else 0)


def test_without_a_token_the_agent_belongs_to_the_built_in_owner(world: World) -> None:
    world.register()
    assert [agent.developer_id for agent in agents(world)] == [BUILT_IN_OWNER]


@pytest.mark.parametrize(("days", "code"), [(6, ""), (7, "invalid_enrolment_token")])
def test_a_token_expires_after_seven_days(world: World, days: int, code: str) -> None:
    _, credential = enrolment(world)
    world.clock.wait(days=days)
    assert do(attempt(in_mode(world, "enrolment"), credential.reveal())) == code


def test_a_deleted_token_lets_nobody_in(world: World) -> None:
    token, credential = enrolment(world)
    do(delete_token(world.service, call(), world.operator, Kind.ENROLMENT_TOKEN, token.id))
    assert do(attempt(world.service, credential.reveal())) == "invalid_enrolment_token"


def test_a_disabled_developers_token_lets_nobody_in(world: World) -> None:
    _, principal = world.developer()
    _, credential = enrolment(world, principal)
    do(disable_developer(world.service, call(), world.operator, principal.developer_id))
    assert do(attempt(world.service, credential.reveal())) == "invalid_enrolment_token"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ENROLMENT_TOKEN])
def test_another_kind_of_credential_lets_nobody_in(world: World, kind: Kind) -> None:
    text = world.service.new_credential(kind).reveal()
    assert do(attempt(world.service, text)) == "invalid_enrolment_token"


def test_what_the_limits_refuse_spends_no_token(world: World) -> None:
    token, credential = enrolment(world, max_uses=5)
    for policy in (
        {"registration_total": Limit("registration-total", 1, 3600)},
        {"registration_limit": Limit("registration", 1, 3600)},
    ):
        service = world.with_policy(**policy)
        before = uses(world, token)
        codes = [do(attempt(service, credential.reveal(), "203.0.113.7")) for _ in range(3)]
        assert codes[1:] == ["too_many_registrations"] * 2
        assert uses(world, token) == before + codes.count("")
        world.clock.wait(3600 * 1000)


def test_the_installations_limit_counts_every_address(world: World) -> None:
    service = world.with_policy(registration_total=Limit("registration-total", 3, 3600))
    codes = [do(attempt(service, None)) for _ in range(5)]
    assert codes == ["", "", "", "too_many_registrations", "too_many_registrations"]
    world.clock.wait(3600 * 1000)
    assert do(attempt(service, None)) == ""


@pytest.mark.parametrize(
    ("days", "accepted"), [(0, False), (-1, False), (1, True), (365, True), (366, False)]
)
def test_a_token_expires_in_the_future_and_within_a_year(
    world: World, days: int, accepted: bool
) -> None:
    asked = world.clock.now + days * DAY
    if accepted:
        assert enrolment_expiry(world.service, asked) == asked
    else:
        with pytest.raises(InvalidRequest, match="expiresAt"):
            enrolment_expiry(world.service, asked)
