"""An agent comes into being: it registers itself, or a developer creates it."""

import json
from dataclasses import dataclass
from typing import Any

from keyturn.actions.authenticate import find_token
from keyturn.actions.find_agent import hold
from keyturn.actions.issue_credentials import Pair, new_pair, pair_columns
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.recover import Recoverable, replay
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.take_attempt import take_attempt, take_own_attempt
from keyturn.core.agent import (
    BUILT_IN_OWNER,
    DEFAULT_ROTATION_PERIOD_DAYS,
    STARTER_CREDITS,
    clean_name,
)
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import (
    InvalidEnrolmentToken,
    InvalidIdempotencyKey,
    RegistrationClosed,
    TooManyRegistrations,
    Unavailable,
)
from keyturn.core.fence import token_record
from keyturn.core.recovery import REGISTRATION_LIFETIME, length_prefixed
from keyturn.core.rotation import idempotency_key
from keyturn.core.token import Token
from keyturn.storage.store import Transaction

_EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Registered:
    """A new agent and the credentials that are shown once, or again where it is `replayed`."""

    agent_id: str
    developer_id: str
    name: str
    pair: Pair
    credit_balance: int = STARTER_CREDITS
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Application:
    """What an agent sends to register itself."""

    name: str | None = None
    enrolment_token: str | None = None
    idempotency_key: str | None = None


class _Twin(Exception):
    """Another process has answered the same request meanwhile."""


async def register_agent(service: Service, call: Call, asked: Application) -> Registered:
    """An agent registers itself.

    Raises:
        InvalidRequest: the name.
        InvalidIdempotencyKey
        TooManyReplays: the same registration was repeated over 20 times within an hour.
        TooManyRegistrations: from this address, or for the installation.
        InvalidEnrolmentToken: one was sent that is not good, or none where one is required.
        RegistrationClosed
    """
    cleaned = None if asked.name is None else clean_name(asked.name)
    request = _recoverable(service, call, asked)
    async with refusals_recorded(service, call, Action.AGENT_REGISTERED):
        if request is None:
            return await _register(service, call, asked, cleaned, None)
        async with request.in_turn():
            return await _replay(service, call, request) or await _register_or_replay(
                service, call, asked, cleaned, request
            )


async def _register_or_replay(
    service: Service, call: Call, asked: Application, name: str | None, request: Recoverable
) -> Registered:
    try:
        return await _register(service, call, asked, name, request)
    except (InvalidEnrolmentToken, TooManyRegistrations, _Twin) as refusal:
        # A twin in another process may have had the last place, and the answer wanted here.
        if replayed := await _replay(service, call, request):
            return replayed
        if isinstance(refusal, _Twin):
            raise Unavailable("a twin was answered, and its answer is gone") from refusal
        raise


async def _register(
    service: Service,
    call: Call,
    asked: Application,
    name: str | None,
    request: Recoverable | None,
) -> Registered:
    if not await take_own_attempt(service, service.policy.registration_limit, call):
        raise TooManyRegistrations
    token = await _enrolment(service, asked.enrolment_token)
    verdict = await take_attempt(service, service.policy.registration_total, _EVERYBODY)
    if not verdict.allowed:
        call.verdict = verdict
        raise TooManyRegistrations
    developer_id = (token.developer_id if token else None) or BUILT_IN_OWNER
    new = _new_agent(service, developer_id, name, with_secret=True)

    def register(tx: Transaction) -> Registered:
        if request is not None and request.find(tx):
            raise _Twin
        if token:
            _spend(tx, service, token)
        _add(tx, service, new, self_registered=True)
        if request is not None:
            request.keep(tx, new.agent_id, 1, _encode(new), REGISTRATION_LIFETIME)
        attempt = Attempt(
            Action.AGENT_REGISTERED, Actor("agent", new.agent_id), new.agent_id, developer_id
        )
        record(tx, service, call, attempt, **({"enrolmentTokenId": token.id} if token else {}))
        return new

    twins = [request.mark] if request is not None else []
    return await service.store.write(register, alone=twins)


def _recoverable(service: Service, call: Call, asked: Application) -> Recoverable | None:
    """How a repeat of this registration is known: by its idempotency key, body and address."""
    if asked.idempotency_key is None:
        return None
    key = idempotency_key(asked.idempotency_key)
    if key is None:
        raise InvalidIdempotencyKey
    body = json.dumps([asked.name, asked.enrolment_token])
    proof = [b"registration", key.encode(), body.encode(), call.address.bucket.encode()]
    return Recoverable(service, service.keyring.candidates(length_prefixed(proof)), proof)


async def _replay(service: Service, call: Call, request: Recoverable) -> Registered | None:
    opened = await replay(service, call, request, Action.AGENT_REGISTRATION_REPLAYED)
    if opened is None:
        return None
    developer_id, name, key, secret, credit_balance = json.loads(opened.answer)
    pair = Pair(Credential(Kind.API_KEY, key), Credential(Kind.ROTATION_SECRET, secret))
    return Registered(opened.agent_id, developer_id, name, pair, credit_balance, replayed=True)


def _encode(new: Registered) -> bytes:
    secret = new.pair.rotation_secret.reveal() if new.pair.rotation_secret else None
    key = new.pair.api_key.reveal()
    return json.dumps([new.developer_id, new.name, key, secret, new.credit_balance]).encode()


async def create_agent(
    service: Service, call: Call, principal: Principal, name: str | None, *, with_secret: bool
) -> Registered:
    """A developer creates an agent of their own.

    Raises:
        InvalidRequest: the name.
    """
    cleaned = None if name is None else clean_name(name)
    new = _new_agent(service, principal.developer_id, cleaned, with_secret=with_secret)

    def create(tx: Transaction) -> Registered:
        hold(tx, principal)
        _add(tx, service, new, self_registered=False)
        attempt = Attempt(
            Action.AGENT_CREATED, principal.actor, new.agent_id, principal.developer_id
        )
        record(tx, service, call, attempt, rotationSecretConfigured=with_secret)
        return new

    return await service.store.write(create)


async def _enrolment(service: Service, text: str | None) -> Token | None:
    """The enrolment token that lets this agent in; None where none is needed."""
    mode = service.policy.registration
    token = None
    if text is not None:
        token = await find_token(service, text, Kind.ENROLMENT_TOKEN)
        if token is None:
            raise InvalidEnrolmentToken
    if mode == "closed":
        raise RegistrationClosed
    if mode == "enrolment" and token is None:
        raise InvalidEnrolmentToken(sent=False)
    return token


def _spend(tx: Transaction, service: Service, token: Token) -> None:
    tx.one(int, "hold_token", id=token.id)
    uses = tx.one(int, "spend_token", id=token.id, now=service.now())
    if uses is None:
        raise InvalidEnrolmentToken
    tx.fence(token_record(token.id, uses))


def _new_agent(
    service: Service, developer_id: str, name: str | None, *, with_secret: bool
) -> Registered:
    identifier = service.new_id()
    pair = new_pair(service, with_secret=with_secret)
    return Registered(identifier, developer_id, name or f"agent-{identifier[:8]}", pair)


def _add(tx: Transaction, service: Service, new: Registered, *, self_registered: bool) -> None:
    columns: dict[str, Any] = pair_columns(service, new.pair)
    tx.execute(
        "add_agent",
        id=new.agent_id,
        developer_id=new.developer_id,
        name=new.name,
        now=service.now(),
        rotation_period_days=DEFAULT_ROTATION_PERIOD_DAYS,
        credit_balance=new.credit_balance,
        self_registered=self_registered,
        **columns,
    )
