"""Whose key is this? The one decision that every route and integration shares.

It is read from the store each time, so that a key is dead from the moment its rotation is
answered. Nothing is cached.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from keyturn.actions.find_agent import agent_by_key, kept_now
from keyturn.actions.guard_server_keys import confirm_server_keys, confirm_server_keys_in
from keyturn.actions.note_use import note_key_use
from keyturn.actions.notice_reuse import notice_reuse_of_keys
from keyturn.actions.service import Call, Service
from keyturn.core.agent import DAY, MAX_CREDITS, Agent
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import (
    AgentRevoked,
    ChargeRepeated,
    InsufficientCredits,
    InvalidCredentials,
    InvalidToken,
)
from keyturn.core.keyed_hash import Mac
from keyturn.core.recovery import length_prefixed
from keyturn.core.token import Token
from keyturn.storage.store import Transaction

CHARGE_LIFETIME = DAY
"""How long a cost is taken once for its idempotency key."""

Refused = InvalidCredentials | AgentRevoked | InsufficientCredits
"""Why a key is not good, or not for this."""


@dataclass(frozen=True, slots=True)
class Check:
    """A key to check, and how many credits it shall cost its agent."""

    key: str = field(repr=False)
    cost: int = 0


@dataclass(frozen=True, slots=True)
class _Charge:
    """A cost that was taken under an idempotency key."""

    agent_id: str
    cost: int


async def verify_key(
    service: Service, call: Call, key: str | None, asks: Token | None = None
) -> Agent:
    """The agent whose current API key this is; `asks` is the service that wants to know.

    Raises:
        InvalidCredentials: no key, one that is unknown, retired or malformed, or the agent of
            a developer whose agents that service does not see.
        AgentRevoked
        Unavailable: the store can't answer, or the key may be kept under a server key that is not
            here.
    """
    credential = service.parse(key, Kind.API_KEY)
    if credential is None:
        raise InvalidCredentials
    agent = await kept_now(service, Agent, "agent_by_key", credential)
    if agent is None:
        await notice_reuse_of_keys(service, call, [credential])
    admitted = _admitted(agent, asks)
    note_key_use(service, call, admitted, credential)
    return admitted


def _admitted(agent: Agent | None, asks: Token | None) -> Agent:
    if agent is None:
        raise InvalidCredentials
    if asks is not None and not asks.sees(agent.developer_id):
        raise InvalidCredentials
    if agent.revoked:
        raise AgentRevoked
    return agent


async def verify_keys(
    service: Service,
    call: Call,
    asks: Token | None,
    checks: Sequence[Check],
    idempotency_key: str | None = None,
) -> list[Agent | Refused]:
    """Check each key and take its cost, in order and in one transaction.

    With an idempotency key the costs are taken once within 24 hours, however often the same
    checks are asked for.

    Raises:
        ChargeRepeated: the idempotency key came with another agent or cost before.
        InvalidToken: the service has lost its token meanwhile.
        Unavailable: nobody knows whether the costs were taken.
    """
    found = await _verified(service, call, asks, checks)
    if not any(check.cost for check in checks):
        return _noted(service, call, checks, found)

    def charge(tx: Transaction) -> list[Agent | Refused]:
        _confirm(tx, service, asks)
        return [
            _charge(tx, service, check, _macs(service, asks, idempotency_key, place))
            if isinstance(agent, Agent)
            else agent
            for place, (agent, check) in enumerate(zip(found, checks, strict=True))
        ]

    alone = {agent.id for agent in found if isinstance(agent, Agent)}
    # Of whatever agent: two may come at once under one idempotency key.
    alone |= {mac.digest.hex() for mac in _macs(service, asks, idempotency_key, 0)}
    return _noted(service, call, checks, await service.store.write(charge, alone=alone))


def _noted(
    service: Service, call: Call, checks: Sequence[Check], told: list[Agent | Refused]
) -> list[Agent | Refused]:
    """Remember the keys that were accepted, and only those: a use ends a receipt."""
    for check, agent in zip(checks, told, strict=True):
        credential = service.parse(check.key, Kind.API_KEY)
        if isinstance(agent, Agent) and credential is not None:
            note_key_use(service, call, agent, credential)
    return told


def _confirm(tx: Transaction, service: Service, asks: Token | None) -> None:
    """Make sure that the service's token is alive still, within the transaction that charges."""
    if asks is None:
        return
    tx.one(int, "hold_token", id=asks.id)
    token = tx.one(Token, "token_by_id", id=asks.id)
    if token is None or not token.is_live(service.now()):
        raise InvalidToken


async def _verified(
    service: Service, call: Call, asks: Token | None, checks: Sequence[Check]
) -> list[Agent | Refused]:
    credentials = [service.parse(check.key, Kind.API_KEY) for check in checks]
    macs = [_digests(service, credential) for credential in credentials]
    kept = await service.store.look_up(
        Agent, "agent_by_key", [mac for each in macs for mac in each]
    )
    agents = {agent.key_mac: agent for agent in kept}
    found = [
        next((agents[digest] for digest in digests if digest in agents), None) for digests in macs
    ]
    unknown = [key for key, agent in zip(credentials, found, strict=True) if key and not agent]
    if unknown:
        await confirm_server_keys(service)
        await notice_reuse_of_keys(service, call, unknown)
    return [_told(agent, asks) for agent in found]


def _told(agent: Agent | None, asks: Token | None) -> Agent | Refused:
    try:
        return _admitted(agent, asks)
    except (InvalidCredentials, AgentRevoked) as refused:
        return refused


def _digests(service: Service, credential: Credential | None) -> list[bytes]:
    return [mac.digest for mac in service.keyring.candidates(credential)] if credential else []


def _charge(
    tx: Transaction, service: Service, check: Check, macs: Sequence[Mac]
) -> Agent | Refused:
    """Look again, for the key was good a moment ago, and take the cost."""
    agent = agent_by_key(tx, service, service.parse(check.key, Kind.API_KEY))
    if agent is None:
        confirm_server_keys_in(tx, service)
        return InvalidCredentials()
    if agent.revoked:
        return AgentRevoked()
    now = service.now()
    if check.cost == 0 or _was_charged(tx, agent, check, macs, now):
        return agent
    if check.cost > MAX_CREDITS:
        return InsufficientCredits()
    values = {"id": agent.id, "generation": agent.generation, "cost": check.cost}
    balance = tx.one(int, "take_credits", **values)
    if balance is None:
        return InsufficientCredits()
    if macs:
        key, mac = macs[0]
        values = {"agent_id": agent.id, "cost": check.cost, "expires_at": now + CHARGE_LIFETIME}
        tx.execute("put_charge", mac=mac, server_key=key, **values)
    return agent._replace(credit_balance=balance)


def _was_charged(
    tx: Transaction, agent: Agent, check: Check, macs: Sequence[Mac], now: int
) -> bool:
    for mac in macs:
        if earlier := tx.one(_Charge, "charge_by_mac", mac=mac.digest, now=now):
            if earlier != _Charge(agent.id, check.cost):
                raise ChargeRepeated
            return True
    return False


def _macs(
    service: Service, asks: Token | None, idempotency_key: str | None, place: int
) -> list[Mac]:
    """By what a charge is known: no service can repeat another's."""
    if asks is None or idempotency_key is None:
        return []
    parts = [b"charge", asks.id.encode(), str(place).encode(), idempotency_key.encode()]
    return service.keyring.candidates(length_prefixed(parts))
