"""Finds the agent that a credential or an id belongs to."""

from collections.abc import Callable

from keyturn.actions.guard_server_keys import confirm_server_keys
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential
from keyturn.core.errors import AgentNotFound, ChangedMeanwhile, InvalidToken
from keyturn.storage.store import Shape, Transaction


def agent_by_key(tx: Transaction, service: Service, key: Credential | None) -> Agent | None:
    """The agent whose current API key this is.

    An unknown key costs what a known one does: every server key is tried whatever is found, and
    where nothing is, another agent's record is read and dropped.
    """
    candidates = service.keyring.candidates(key) if key else []
    found = [(tx.one(Agent, "agent_by_key_or_newest", mac=mac.digest), mac) for mac in candidates]
    return next((agent for agent, mac in found if agent and agent.key_mac == mac.digest), None)


async def agent_by_key_now(service: Service, key: Credential | None) -> Agent | None:
    """As `agent_by_key`, outside of a transaction."""
    macs = [mac.digest for mac in service.keyring.candidates(key)] if key else []
    found = await service.store.look_up(Agent, "agent_by_key_or_newest", macs)
    return next((agent for agent in found if agent.key_mac in macs), None)


async def kept_now(
    service: Service, shape: Callable[..., Shape], query: str, credential: Credential
) -> Shape | None:
    """The record that is kept under this credential's keyed hash now.

    Raises:
        Unavailable: the store can't answer, or the record may be under a server key that is not
            here.
    """
    macs = [mac.digest for mac in service.keyring.candidates(credential)]
    found = await service.store.look_up(shape, query, macs)
    if not found:
        await confirm_server_keys(service)
        return None
    return found[0]


def confirm(tx: Transaction, principal: Principal) -> None:
    """Make sure, within the transaction that reads for it, that the token is alive still.

    Raises:
        InvalidToken: it was deleted, or its developer disabled, since it was authenticated.
    """
    if not tx.one(int, "token_is_live", id=principal.token_id):
        raise InvalidToken


def hold(tx: Transaction, principal: Principal) -> None:
    """`confirm`, and until the transaction that changes something ends nobody takes it away.

    Raises:
        InvalidToken: as `confirm`.
    """
    tx.one(int, "hold_token", id=principal.token_id)
    confirm(tx, principal)


def own_agent(tx: Transaction, principal: Principal, agent_id: str) -> Agent:
    """The developer's agent of this id, to be changed.

    Raises:
        AgentNotFound, InvalidToken: as `seen_agent`.
    """
    tx.one(int, "hold_token", id=principal.token_id)
    return seen_agent(tx, principal, agent_id)


def seen_agent(tx: Transaction, principal: Principal, agent_id: str) -> Agent:
    """The developer's agent of this id, to be looked at.

    Raises:
        AgentNotFound: there is none, or it is another developer's.
        InvalidToken: the developer has lost their token meanwhile.
    """
    confirm(tx, principal)
    agent = tx.one(Agent, "agent_by_id", id=agent_id)
    if agent is None or not principal.may_see(agent.developer_id):
        raise AgentNotFound
    return agent


def refuse_changed(agent: Agent, generation: int | None) -> None:
    """Raises `ChangedMeanwhile` where the agent is not of the generation that was expected."""
    if generation not in (None, agent.generation):
        raise ChangedMeanwhile
