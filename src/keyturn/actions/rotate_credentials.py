"""Rotation: an agent's API key and rotation secret are replaced together, in one transaction."""

from dataclasses import dataclass, replace
from typing import cast

from keyturn.actions.find_agent import agent_by_key, own_agent
from keyturn.actions.issue_credentials import Issued, new_pair, swap
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.take_attempt import take_own_attempt
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import AgentIsRevoked, TooManyRotationAttempts
from keyturn.core.rotation import ROTATION_ROWS, Facts, Row, bearer_token, idempotency_key, refusal
from keyturn.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class Presented:
    """What an agent sends to prove that both of its credentials are its own."""

    authorization: str | None
    rotation_secret: str | None
    idempotency_key: str | None = None

    @property
    def facts(self) -> Facts:
        """What the request alone tells."""
        return Facts(
            bearer_given=bearer_token(self.authorization) is not None,
            secret_given=bool(self.rotation_secret),
            idempotency_key_valid=self.idempotency_key is None
            or idempotency_key(self.idempotency_key) is not None,
        )


async def rotate_own_credentials(service: Service, call: Call, presented: Presented) -> Issued:
    """Section 3 of the contract: both current credentials for a new pair.

    Raises:
        KeyturnError: the first row of the decision table that applies.
        Unavailable: nobody knows whether the rotation was kept.
    """
    refuse(ROTATION_ROWS, presented.facts, service)
    async with refusals_recorded(service, call, Action.CREDENTIAL_ROTATION_REFUSED) as attempt:
        allowed = await take_own_attempt(service, service.policy.rotation_limit, call)
        facts = replace(presented.facts, attempt_allowed=allowed)
        refuse(ROTATION_ROWS, facts, service)
        prove = PairProof(service, presented, attempt, ROTATION_ROWS)
        service.store.read(prove)
        pair = new_pair(service)

        def rotate(tx: Transaction) -> Issued:
            # Proven again: another rotation may have come between.
            agent = prove(tx)
            if not swap(tx, service, agent, pair, used_at=service.now()):
                refuse(ROTATION_ROWS, replace(facts, still_current=False), service)
            _record_rotation(tx, service, call, agent, Actor("agent", agent.id))
            return Issued(agent.id, agent.name, pair)

        return await service.store.write(rotate)


async def rotate_for_developer(
    service: Service, call: Call, principal: Principal, agent_id: str
) -> Issued:
    """A developer replaces an agent's credentials; no secret is needed, and quarantine ends.

    Raises:
        AgentNotFound, AgentIsRevoked
    """
    async with refusals_recorded(
        service, call, Action.CREDENTIAL_ROTATION_REFUSED, principal
    ) as attempt:
        made = new_pair(service)

        def rotate(tx: Transaction) -> Issued:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            if agent.revoked:
                raise AgentIsRevoked
            pair = made.fitting(agent)
            swap(tx, service, agent, pair)
            _record_rotation(tx, service, call, agent, principal.actor)
            return Issued(agent.id, agent.name, pair)

        return await service.store.write(rotate)


class PairProof:
    """Checks within a transaction that both credentials are the current ones of one agent."""

    def __init__(
        self, service: Service, presented: Presented, attempt: Attempt, rows: tuple[Row, ...]
    ) -> None:
        self._service = service
        self._attempt = attempt
        self._rows = rows
        self._key = service.parse(bearer_token(presented.authorization), Kind.API_KEY)
        self._secret = service.parse(presented.rotation_secret, Kind.ROTATION_SECRET)

    def __call__(self, tx: Transaction) -> Agent:
        """The agent.

        Raises:
            KeyturnError: the first row that applies.
        """
        agent = agent_by_key(tx, self._service, self._key)
        if agent is not None:
            self._attempt.names(agent)
        refuse(self._rows, pair_facts(self._service, agent, self._secret), self._service)
        return cast(Agent, agent)  # Row 5 has refused the request where there is none.


def pair_facts(service: Service, agent: Agent | None, secret: Credential | None) -> Facts:
    """What the agent's record tells of a request. An unknown agent costs the same work."""
    server_key = agent.secret_server_key if agent else None
    digest = agent.secret_mac if agent else None
    matches = secret is not None and service.keyring.matches(
        secret, server_key or service.keyring.current.id, digest or b""
    )
    if agent is None:
        return Facts(key_known=False)
    return Facts(
        agent_revoked=agent.revoked,
        secret_configured=digest is not None,
        secret_matches=matches,
        agent_quarantined=agent.status == "quarantined",
    )


def refuse(rows: tuple[Row, ...], facts: Facts, service: Service) -> None:
    """Raise the first row's answer that applies, if one does."""
    error = refusal(rows, facts)
    if error is TooManyRotationAttempts:
        limit = service.policy.rotation_limit
        raise TooManyRotationAttempts(limit.quota, limit.window_seconds)
    if error is not None:
        raise error


def _record_rotation(
    tx: Transaction, service: Service, call: Call, agent: Agent, actor: Actor
) -> None:
    attempt = Attempt(Action.CREDENTIAL_ROTATED, actor)
    attempt.names(agent)
    record(tx, service, call, attempt, generation=agent.generation + 1)
