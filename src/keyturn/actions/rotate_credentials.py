"""Rotation: an agent's API key and rotation secret are replaced together, in one transaction."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import cast

from keyturn.actions.find_agent import (
    agent_by_key,
    agent_by_key_now,
    own_agent,
    refuse_changed,
)
from keyturn.actions.guard_server_keys import confirm_server_keys, confirm_server_keys_in
from keyturn.actions.issue_credentials import Issued, Pair, new_pair, swap
from keyturn.actions.notice_reuse import MAY_BE_REUSE, idempotency_key_was_used, notice_reuse
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.recover import Opened, Recoverable, replay
from keyturn.actions.retire_credentials import Shown
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.take_attempt import give_attempt_back, is_under_way, take_own_attempt
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import (
    AgentIsRevoked,
    AgentNotFound,
    InvalidCredentials,
    KeyturnError,
    TooManyRotationAttempts,
)
from keyturn.core.recovery import ROTATION_LIFETIME
from keyturn.core.rotation import ROTATION_ROWS, Facts, Row, bearer_token, decide, idempotency_key
from keyturn.storage.store import Transaction

TWIN_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""The seconds between looks for the answer of a twin that another process is giving."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What an agent sends to prove that both of its credentials are its own."""

    authorization: str | None = field(repr=False)
    rotation_secret: str | None = field(repr=False)
    idempotency_key: str | None = field(default=None, repr=False)

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
    """Sections 3 and 4 of the contract: both current credentials for a new pair.

    Raises:
        KeyturnError: the first row of the decision table that applies.
        Unavailable: nobody knows whether the rotation was kept.
    """
    refuse(ROTATION_ROWS, presented.facts, service)
    async with refusals_recorded(service, call, Action.CREDENTIAL_ROTATION_REFUSED) as attempt:
        prove = PairProof(service, presented, attempt, ROTATION_ROWS)
        request = recoverable_rotation(service, prove.shown)
        if request is None:
            return await _rotate(service, call, prove, None)
        async with request.in_turn():
            replayed = await _replay(service, call, request)
            return replayed or await _rotate(service, call, prove, request)


async def _rotate(
    service: Service, call: Call, prove: "PairProof", request: Recoverable | None
) -> Issued:
    mark = request.mark if request else None
    allowed = await take_own_attempt(service, service.policy.rotation_limit, call, mark)
    twin = request if not allowed else None
    if twin is not None and (replayed := await _wait_for_twin(service, call, twin)):
        return replayed
    refuse(ROTATION_ROWS, Facts(attempt_allowed=allowed), service)
    try:
        agent = await prove.now()
        pair = new_pair(service)

        def rotate(tx: Transaction) -> Issued:
            # What was proven holds as long as generation and status do, which the swap compares.
            if prove.repeats_an_older_one(tx, agent) or not swap(
                tx, service, agent, pair, prove.shown, call.address.text
            ):
                prove(tx)
                refuse(ROTATION_ROWS, Facts(still_current=False), service)
            issued = Issued(agent.id, agent.name, pair)
            if request is not None:
                request.keep(tx, agent.id, agent.generation + 1, _encode(issued), ROTATION_LIFETIME)
            _record_rotation(tx, service, call, agent, Actor("agent", agent.id))
            return issued

        return await service.store.write(rotate, alone=[agent.id])
    except MAY_BE_REUSE:
        # Row 9: a twin in another process may have had the answer that this request wants.
        if request is not None and (replayed := await _replay(service, call, request)):
            await give_attempt_back(service, service.policy.rotation_limit, call)
            return replayed
        await notice_reuse(service, call, prove.shown)
        raise


async def _wait_for_twin(service: Service, call: Call, request: Recoverable) -> Issued | None:
    """The answer of a twin in another process, where it had the last attempt just now.

    Whether the pair is good is not looked at: past the limit, that must not show.
    """
    for pause in TWIN_PAUSES:
        if not await is_under_way(service, request.mark):
            return None
        if replayed := await _replay(service, call, request):
            return replayed
        await asyncio.sleep(pause)
    return None


async def _replay(service: Service, call: Call, request: Recoverable) -> Issued | None:
    opened = await replay(service, call, request, Action.CREDENTIAL_ROTATION_REPLAYED)
    return _decode(opened) if opened else None


def recoverable_rotation(service: Service, shown: Shown) -> Recoverable | None:
    """How a repeat of this rotation is known; None where it can't be repeated."""
    if shown.key is None or shown.secret is None or shown.idempotency_key is None:
        return None
    proof = [shown.key.reveal(), shown.secret.reveal(), shown.idempotency_key]
    lookups = service.keyring.candidates(shown.key)
    return Recoverable(service, lookups, [part.encode() for part in proof])


def _encode(issued: Issued) -> bytes:
    pair = issued.pair
    secret = pair.rotation_secret.reveal() if pair.rotation_secret else None
    return json.dumps([issued.agent_name, pair.api_key.reveal(), secret]).encode()


def _decode(opened: Opened) -> Issued:
    name, key, secret = json.loads(opened.answer)
    pair = Pair(Credential(Kind.API_KEY, key), Credential(Kind.ROTATION_SECRET, secret))
    return Issued(opened.agent_id, name, pair, replayed=True)


async def rotate_for_developer(
    service: Service,
    call: Call,
    principal: Principal,
    agent_id: str,
    *,
    generation: int | None = None,
) -> Issued:
    """A developer replaces an agent's credentials; no secret is needed, and quarantine ends.

    Raises:
        AgentNotFound, AgentIsRevoked
        ChangedMeanwhile: it is not of this generation.
    """
    async with refusals_recorded(
        service, call, Action.CREDENTIAL_ROTATION_REFUSED, principal
    ) as attempt:
        made = new_pair(service)

        def rotate(tx: Transaction) -> Issued:
            agent = own_agent(tx, principal, agent_id)
            attempt.names(agent)
            refuse_changed(agent, generation)
            if agent.revoked:
                raise AgentIsRevoked
            pair = made.fitting(agent)
            if not swap(tx, service, agent, pair):
                raise AgentNotFound
            _record_rotation(tx, service, call, agent, principal.actor)
            return Issued(agent.id, agent.name, pair)

        return await service.store.write(rotate, alone=[agent_id])


class PairProof:
    """Checks that both credentials are the current ones of one agent."""

    def __init__(
        self, service: Service, presented: Presented, attempt: Attempt, rows: tuple[Row, ...]
    ) -> None:
        self._service = service
        self._attempt = attempt
        self._rows = rows
        self.shown = Shown(
            service.parse(bearer_token(presented.authorization), Kind.API_KEY),
            service.parse(presented.rotation_secret, Kind.ROTATION_SECRET),
            idempotency_key(presented.idempotency_key or ""),
        )

    async def now(self) -> Agent:
        """The agent, where nothing stands against it but, perhaps, the idempotency key.

        Raises:
            KeyturnError: the first row that applies.
            Unavailable: what is shown may be under a server key that is not here.
        """
        agent = await agent_by_key_now(self._service, self.shown.key)
        try:
            return self._prove(agent, self._facts(agent))
        except InvalidCredentials:
            if self._is_whole:
                await confirm_server_keys(self._service)
            raise

    def __call__(self, tx: Transaction) -> Agent:
        """The agent, within a transaction.

        Raises:
            KeyturnError, Unavailable: as `now`.
        """
        agent = agent_by_key(tx, self._service, self.shown.key)
        facts = self._facts(agent)
        if agent is not None and facts.secret_matches:
            facts = replace(facts, idempotency_key_used=self.repeats_an_older_one(tx, agent))
        try:
            return self._prove(agent, facts)
        except InvalidCredentials:
            if self._is_whole:
                confirm_server_keys_in(tx, self._service)
            raise

    def repeats_an_older_one(self, tx: Transaction, agent: Agent) -> bool:
        """Whether an earlier rotation of the agent had this idempotency key."""
        key = self.shown.idempotency_key
        return key is not None and idempotency_key_was_used(tx, self._service, agent, key)

    @property
    def _is_whole(self) -> bool:
        return self.shown.key is not None and self.shown.secret is not None

    def _facts(self, agent: Agent | None) -> Facts:
        if agent is not None:
            self._attempt.names(agent)
        return pair_facts(self._service, agent, self.shown.secret)

    def _prove(self, agent: Agent | None, facts: Facts) -> Agent:
        refuse(self._rows, facts, self._service)
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
    """Raise the first row's answer that applies, if it is a refusal."""
    outcome = decide(rows, facts)
    if outcome is TooManyRotationAttempts:
        limit = service.policy.rotation_limit
        raise TooManyRotationAttempts(limit.quota, limit.window_seconds)
    if outcome is not None and issubclass(outcome, KeyturnError):
        raise outcome


def _record_rotation(
    tx: Transaction, service: Service, call: Call, agent: Agent, actor: Actor
) -> None:
    attempt = Attempt(Action.CREDENTIAL_ROTATED, actor)
    attempt.names(agent)
    record(tx, service, call, attempt, generation=agent.generation + 1)
