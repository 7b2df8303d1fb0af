"""Developer, service and enrolment tokens: made, listed masked, deleted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.actions.authenticate import require_operator
from keyturn.actions.find_agent import confirm, hold
from keyturn.actions.pages import Page, before
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import DAY
from keyturn.core.audit_trail import COMMAND_LINE, Action
from keyturn.core.credential import Credential, Kind
from keyturn.core.developer import Developer
from keyturn.core.errors import DeveloperNotFound, InvalidRequest, TokenNotFound
from keyturn.core.fence import end_record
from keyturn.core.token import Token
from keyturn.storage.store import Transaction

ENROLMENT_LIFETIME = 7 * DAY
MAX_ENROLMENT_LIFETIME = 365 * DAY


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a token shall be. `developer_id` None is for the whole installation."""

    kind: Kind
    name: str
    developer_id: str | None
    max_uses: int | None = None
    expires_at: int | None = None


def enrolment_expiry(service: Service, expires_at: int | None) -> int:
    """When an enrolment token expires: as asked, or after 7 days.

    Raises:
        InvalidRequest: in the past or in more than a year.
    """
    now = service.now()
    expiry = now + ENROLMENT_LIFETIME if expires_at is None else expires_at
    if not now < expiry <= now + MAX_ENROLMENT_LIFETIME:
        raise InvalidRequest("expiresAt", "must be in the future and within a year")
    return expiry


async def create_token(
    service: Service, call: Call, principal: Principal, new: NewToken
) -> tuple[Token, Credential]:
    """Make a token; it is shown this once. Only an operator makes one for another developer.

    Raises:
        OperatorOnly, DeveloperNotFound
    """
    credential = service.new_credential(new.kind)
    async with refusals_recorded(service, call, Action.TOKEN_CREATED, principal) as attempt:
        if new.developer_id != principal.developer_id:
            require_operator(principal)

        def create(tx: Transaction) -> Token:
            hold(tx, principal)
            owner = tx.one(Developer, "developer_by_id", id=new.developer_id)
            if owner is None or owner.status != "active":
                raise DeveloperNotFound
            return add_token(tx, service, call, attempt, new, credential)

        return await service.store.write(create), credential


async def create_service_token_for_all(service: Service, name: str) -> Credential:
    """The command line's service token, which sees the agents of every developer."""
    new = NewToken(Kind.SERVICE_TOKEN, name, None)
    credential = service.new_credential(new.kind)
    attempt = Attempt(Action.TOKEN_CREATED, COMMAND_LINE)
    call = Call.local()
    await service.store.write(lambda tx: add_token(tx, service, call, attempt, new, credential))
    return credential


async def list_tokens(
    service: Service, principal: Principal, kind: Kind, *, cursor: str | None, limit: int
) -> Page[Token]:
    """A page of the developer's tokens of this kind; an operator sees everybody's.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    (start,) = before(cursor)
    values = {"kind": kind, "developer_id": principal.scope, "before": start}
    found = await service.store.scan(lambda tx: tx.all(Token, "tokens", limit=limit + 1, **values))
    return Page.of(found, limit, lambda token: (token.seq,))


async def delete_token(
    service: Service, call: Call, principal: Principal, kind: Kind, token_id: str
) -> None:
    """Delete a token, which is dead from now on. Raises `TokenNotFound`."""
    async with refusals_recorded(service, call, Action.TOKEN_DELETED, principal) as attempt:

        def delete(tx: Transaction) -> None:
            hold(tx, principal)
            token = _seen_token(tx, principal, kind, token_id)
            end_token(tx, token.id)
            attempt.developer_id = token.developer_id
            record(tx, service, call, attempt, tokenId=token.id, kind=kind.name.lower())

        await service.store.write(delete)


async def get_token(service: Service, principal: Principal, kind: Kind, token_id: str) -> Token:
    """One token. Raises `TokenNotFound`."""

    def find(tx: Transaction) -> Token:
        confirm(tx, principal)
        return _seen_token(tx, principal, kind, token_id)

    return await service.store.read(find)


def _seen_token(tx: Transaction, principal: Principal, kind: Kind, token_id: str) -> Token:
    token = tx.one(Token, "token_by_id", id=token_id)
    if token is None or token.kind != kind or not principal.may_see(token.developer_id):
        raise TokenNotFound
    return token


def add_token(
    tx: Transaction,
    service: Service,
    call: Call,
    attempt: Attempt,
    new: NewToken,
    credential: Credential,
) -> Token:
    """Keep the token, whoever makes it, and its entry in the trail."""
    token = keep_token(tx, service, new, credential, created_by=attempt.actor.id)
    attempt.developer_id = new.developer_id
    record(tx, service, call, attempt, tokenId=token.id, kind=new.kind.name.lower())
    return token


def keep_token(
    tx: Transaction,
    service: Service,
    new: NewToken,
    credential: Credential,
    *,
    created_by: str | None = None,
) -> Token:
    """Keep the token alone; whoever calls this has an entry of their own."""
    mac = service.keyring.mac(credential)
    identifier = service.new_id()
    tx.execute(
        "add_token",
        id=identifier,
        kind=new.kind,
        developer_id=new.developer_id,
        name=new.name,
        mac=mac.digest,
        server_key=mac.server_key,
        last4=credential.last4,
        now=service.now(),
        expires_at=new.expires_at,
        max_uses=new.max_uses,
        created_by=created_by,
    )
    token = tx.one(Token, "token_by_id", id=identifier)
    if token is None:
        raise LookupError("a token that was just added")
    return token


def end_tokens(tx: Transaction, developer_id: str, kind: Kind, *, but: str = "") -> int:
    """End all of a developer's tokens of this kind; how many there were."""
    found = tx.all(str, "tokens_of_kind", developer_id=developer_id, kind=kind)
    ended = [token_id for token_id in found if token_id != but]
    end_these(tx, ended)
    return len(ended)


def end_token(tx: Transaction, token_id: str) -> None:
    """Delete it, so that no older state of the database brings it back."""
    tx.execute("delete_token", id=token_id)
    tx.fence(end_record("token", token_id))


def end_these(tx: Transaction, token_ids: Sequence[str]) -> None:
    """As `end_token`, in one statement, however many there are."""
    if token_ids:
        tx.execute("delete_tokens", ids=json.dumps(token_ids))
    for token_id in token_ids:
        tx.fence(end_record("token", token_id))
