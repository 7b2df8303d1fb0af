"""Makes an agent's credentials, and swaps them against the old ones."""

from dataclasses import dataclass
from typing import Any

from keyturn.actions.retire_credentials import Shown, retire_pair, retire_secret
from keyturn.actions.service import Service
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential, Kind
from keyturn.core.fence import agent_record
from keyturn.core.keyed_hash import Mac
from keyturn.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class Pair:
    """An API key and its rotation secret, where the agent has one."""

    api_key: Credential
    rotation_secret: Credential | None

    def fitting(self, agent: Agent) -> "Pair":
        """This pair, without its secret where the agent has none configured."""
        return self if agent.secret_mac is not None else Pair(self.api_key, None)


@dataclass(frozen=True, slots=True)
class Issued:
    """New credentials and the agent that they are for; `replayed` if they were given before."""

    agent_id: str
    agent_name: str
    pair: Pair
    replayed: bool = False


def new_pair(service: Service, *, with_secret: bool = True) -> Pair:
    """Make credentials that are nobody's yet."""
    secret = service.new_credential(Kind.ROTATION_SECRET) if with_secret else None
    return Pair(service.new_credential(Kind.API_KEY), secret)


def pair_columns(service: Service, pair: Pair) -> dict[str, Any]:
    """The pair as it is kept."""
    key = service.keyring.mac(pair.api_key)
    return {
        "key_mac": key.digest,
        "key_server_key": key.server_key,
        "key_last4": pair.api_key.last4,
        **secret_columns(service, pair.rotation_secret),
    }


def secret_columns(service: Service, secret: Credential | None) -> dict[str, Any]:
    """The rotation secret as it is kept, or its absence."""
    mac: Mac | None = service.keyring.mac(secret) if secret else None
    return {
        "secret_mac": mac.digest if mac else None,
        "secret_server_key": mac.server_key if mac else None,
    }


def swap(
    tx: Transaction,
    service: Service,
    agent: Agent,
    pair: Pair,
    shown: Shown | None = None,
    used_from: str | None = None,
) -> bool:
    """Put the pair in the place of the agent's credentials, if they are still those of `agent`.

    It is a compare-and-swap on generation and status; quarantine ends with it. `shown` is what
    the agent has shown for it, from the address `used_from`; None where a developer does it.
    """
    changed = tx.execute(
        "replace_credentials",
        id=agent.id,
        generation=agent.generation,
        status=agent.status,
        now=service.now(),
        used_at=service.now() if shown else None,
        used_from=used_from,
        **pair_columns(service, pair),
    )
    if changed == 1:
        retire_pair(tx, service, agent, shown)
        tx.fence(agent_record(agent.id, agent.generation + 1, "active"))
    return changed == 1


def replace_secret(
    tx: Transaction, service: Service, agent: Agent, secret: Credential | None
) -> None:
    """Put the rotation secret in the place of the agent's, or leave it without one."""
    tx.execute(
        "replace_rotation_secret",
        id=agent.id,
        generation=agent.generation,
        **secret_columns(service, secret),
    )
    retire_secret(tx, service, agent)
    tx.fence(agent_record(agent.id, agent.generation + 1, agent.status))
