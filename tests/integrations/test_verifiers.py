"""What a verifier says of a key, asked directly: the same, remote and embedded."""

import asyncio
from collections.abc import Callable

import pytest

from keyturn.integrations import AgentIdentity, Refusal, RemoteVerifier, Verifier
from keyturn.integrations.embedded import EmbeddedVerifier
from keyturn.settings import Settings
from keyturn.testing import Server
from tests.contract.client import Agent, Service, eventually, forged


@pytest.fixture(params=["remote", "embedded"])
def verifier(request: pytest.FixtureRequest, server: Server, token: str) -> Verifier:
    if request.param == "remote":
        return RemoteVerifier(server.url, token, timeout=30)
    return EmbeddedVerifier(Settings(data_dir=server.data_dir))


def verdict(verifier: Verifier, *keys: str, cost: int = 0) -> list[AgentIdentity | Refusal]:
    """What it says of each key, on an event loop of its own."""

    async def ask() -> list[AgentIdentity | Refusal]:
        async with verifier.lifespan():
            return [await verifier.verify(key, cost=cost) for key in keys]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda _: forged("ak"), id="that nobody issued"),
        pytest.param(lambda agent: agent.key[:-1], id="cut"),
        pytest.param(lambda agent: agent.key + "0", id="longer"),
        pytest.param(lambda agent: f" {agent.key}", id="after a space"),
        pytest.param(lambda agent: f"{agent.key}\n", id="before a line's end"),
        pytest.param(lambda agent: agent.key.upper(), id="in capitals"),
        pytest.param(lambda agent: agent.key[:-1] + "é", id="of other characters"),
        pytest.param(lambda agent: agent.key[:-6] + "000000", id="with a wrong checksum"),
        pytest.param(lambda _: forged("ak", "acme_test"), id="of another installation"),
        pytest.param(lambda _: forged("ak", "a" * 20_000), id="of an endless prefix"),
        pytest.param(lambda agent: agent.secret, id="that is a rotation secret"),
        pytest.param(lambda _: "", id="of no characters"),
        pytest.param(lambda _: "\ud800", id="that is not Unicode"),
        pytest.param(lambda _: "x" * 1_000_000, id="of a megabyte"),
    ],
)
def test_a_key_that_is_not_good_is_invalid(
    verifier: Verifier, agent: Agent, key: Callable[[Agent], str]
) -> None:
    assert verdict(verifier, key(agent)) == [Refusal.INVALID]


def test_a_key_is_good_until_it_is_rotated(
    verifier: Verifier, keyturn: Service, agent: Agent
) -> None:
    (before,) = verdict(verifier, agent.key)
    keyturn.rotate(agent.key, agent.secret).raise_for_status()
    assert isinstance(before, AgentIdentity) and before.agent_id == agent.id
    assert verdict(verifier, agent.key) == [Refusal.INVALID]


def test_an_identity_is_told_in_utc(verifier: Verifier, agent: Agent) -> None:
    (told,) = verdict(verifier, agent.key)
    assert isinstance(told, AgentIdentity)
    assert {str(told.key_created_at.tzinfo), str(told.rotation_due_at.tzinfo)} == {"UTC"}
    assert (told.rotation_due_at - told.key_created_at).days == 7


def test_a_cost_that_is_negative_gives_no_credits(
    verifier: Verifier, keyturn: Service, agent: Agent
) -> None:
    with pytest.raises(ValueError, match="cost"):
        verdict(verifier, agent.key, cost=-50)
    assert keyturn.inspect(agent.id)["creditBalance"] == 100


def test_many_at_once_take_no_more_than_there_is(verifier: Verifier, agent: Agent) -> None:
    async def ask() -> list[AgentIdentity | Refusal]:
        async with verifier.lifespan():
            checks = (verifier.verify(agent.key, cost=15) for _ in range(20))
            return await asyncio.gather(*checks)

    found = asyncio.run(ask())
    assert found.count(Refusal.INSUFFICIENT_CREDITS) == 14
    balances = [it.credit_balance for it in found if isinstance(it, AgentIdentity)]
    assert sorted(balances) == [10, 25, 40, 55, 70, 85]


def test_a_use_is_on_record(verifier: Verifier, keyturn: Service, agent: Agent) -> None:
    (told,) = verdict(verifier, agent.key)
    assert isinstance(told, AgentIdentity)

    def used() -> object:
        shown = keyturn.get(f"/v1/agents/{agent.id}", keyturn.operator)
        return shown.json()["lastUsedAt"]

    assert eventually(used)


def test_a_first_use_ends_the_repeats_of_a_rotation(
    verifier: Verifier, keyturn: Service, agent: Agent
) -> None:
    once = {"Idempotency-Key": "a key that nobody else has".replace(" ", "-")}
    rotated = keyturn.rotate(agent.key, agent.secret, headers=once)
    (told,) = verdict(verifier, rotated.json()["apiKey"])
    assert isinstance(told, AgentIdentity)

    def refused() -> bool:
        return keyturn.rotate(agent.key, agent.secret, headers=once).status_code == 401

    assert eventually(refused)


def test_a_retired_key_that_is_checked_is_in_the_trail(
    verifier: Verifier, keyturn: Service, agent: Agent
) -> None:
    keyturn.rotate(agent.key, agent.secret).raise_for_status()
    verdict(verifier, agent.key)
    assert eventually(lambda: keyturn.audit(agentId=agent.id, action="credential.reused"))


def test_a_developers_service_token_knows_that_developers_agents_only(
    server: Server, keyturn: Service, agent: Agent
) -> None:
    developer = keyturn.create_developer()
    own = keyturn.create_agent(developer.token)
    token = keyturn.create_token("service", developer.token)["token"]
    seen, unseen = verdict(RemoteVerifier(server.url, token, timeout=30), own.key, agent.key)
    assert isinstance(seen, AgentIdentity) and seen.developer_id == developer.id
    assert unseen is Refusal.INVALID


def test_one_verifier_may_be_used_on_one_event_loop_after_another(
    verifier: Verifier, agent: Agent
) -> None:
    for _ in range(3):
        (told,) = verdict(verifier, agent.key)
        assert isinstance(told, AgentIdentity)


def test_an_embedded_verifier_that_is_not_open_says_so(server: Server, agent: Agent) -> None:
    verifier = EmbeddedVerifier(Settings(data_dir=server.data_dir))
    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(verifier.verify(agent.key))
