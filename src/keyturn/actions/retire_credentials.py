"""Keeps what was replaced, so that it is known again when it comes back (contract, section 7)."""

from dataclasses import dataclass, field
from typing import Any

from keyturn.actions.service import Service
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential
from keyturn.core.keyed_hash import Mac
from keyturn.core.recovery import length_prefixed
from keyturn.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request has shown; what it has not, or not in our format, is None."""

    key: Credential | None
    secret: Credential | None = None
    idempotency_key: str | None = field(default=None, repr=False)


def retire_pair(tx: Transaction, service: Service, agent: Agent, shown: Shown | None) -> None:
    """Both credentials are replaced, by the agent that has shown them or by a developer."""
    mac = service.keyring.mac
    secret = _kept_secret(agent)
    if shown is None:
        _retire(tx, service, agent, Mac(agent.key_server_key, agent.key_mac), secret)
        return
    # What was shown can move to the current server key, so that the older one can go.
    _retire(
        tx,
        service,
        agent,
        mac(shown.key) if shown.key else None,
        mac(shown.secret) if shown.secret else None,
        mac(idempotency_message(shown.idempotency_key)) if shown.idempotency_key else None,
        by_agent=True,
    )


def retire_secret(tx: Transaction, service: Service, agent: Agent) -> None:
    """A developer replaces or removes the rotation secret alone."""
    _retire(tx, service, agent, None, _kept_secret(agent))


def idempotency_message(key: str) -> bytes:
    """What is hashed of an idempotency key: no credential hashes to the same."""
    return length_prefixed([b"idempotency key", key.encode()])


def _retire(
    tx: Transaction,
    service: Service,
    agent: Agent,
    key: Mac | None,
    secret: Mac | None,
    idempotency: Mac | None = None,
    *,
    by_agent: bool = False,
) -> None:
    # The answer that gave these credentials out is of no use any more.
    tx.execute_later("end_receipt", agent_id=agent.id, generation=agent.generation)
    if key is None and secret is None:
        return
    tx.execute_later(
        "retire_credentials",
        agent_id=agent.id,
        generation=agent.generation,
        now=service.now(),
        by_agent=by_agent,
        **_columns("key", key),
        **_columns("secret", secret),
        **_columns("idempotency", idempotency),
    )


def _kept_secret(agent: Agent) -> Mac | None:
    if agent.secret_mac is None or agent.secret_server_key is None:
        return None
    return Mac(agent.secret_server_key, agent.secret_mac)


def _columns(name: str, mac: Mac | None) -> dict[str, Any]:
    return {
        f"{name}_mac": mac.digest if mac else None,
        f"{name}_server_key": mac.server_key if mac else None,
    }
