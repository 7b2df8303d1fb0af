"""Operators make developers and disable them; the command line makes the first operator."""

from dataclasses import dataclass
from typing import NamedTuple

from keyturn.actions.authenticate import require_operator
from keyturn.actions.find_agent import confirm, hold
from keyturn.actions.manage_tokens import NewToken, add_token, end_these
from keyturn.actions.pages import Page, before
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import BUILT_IN_OWNER
from keyturn.core.audit_trail import COMMAND_LINE, Action
from keyturn.core.credential import Credential, Kind
from keyturn.core.developer import Developer, clean_email
from keyturn.core.errors import BuiltInOwner, DeveloperNotFound, EmailTaken
from keyturn.core.fence import end_record
from keyturn.core.token import Token
from keyturn.storage.store import Transaction

FIRST_TOKEN = "first token"


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A new developer and the token that is shown once."""

    developer: Developer
    token: Credential


@dataclass(frozen=True, slots=True)
class Ending:
    """What dies with a developer, and how much of each."""

    tokens: int
    sessions: int
    tokens_for_others: int
    codes: int
    """To join, theirs and those that they may have made."""


class _Live(NamedTuple):
    kind: str
    live: int


async def create_developer(
    service: Service, call: Call, principal: Principal, email: str, *, operator: bool
) -> Welcomed:
    """An operator makes a developer.

    Raises:
        OperatorOnly, EmailTaken
        InvalidRequest: the email.
    """
    async with refusals_recorded(service, call, Action.DEVELOPER_CREATED, principal):
        require_operator(principal)
        return await _create(service, call, principal, email, operator=operator)


async def create_developer_locally(service: Service, email: str, *, operator: bool) -> Welcomed:
    """The command line makes a developer.

    Raises:
        EmailTaken
        InvalidRequest: the email.
    """
    return await _create(service, Call.local(), None, email, operator=operator)


async def list_developers(
    service: Service, principal: Principal, *, cursor: str | None, limit: int
) -> Page[Developer]:
    """A page of all developers.

    Raises:
        OperatorOnly
        InvalidRequest: the cursor is not one of ours.
    """
    require_operator(principal)
    (start,) = before(cursor)
    found = await service.store.scan(
        lambda tx: tx.all(Developer, "developers", before=start, limit=limit + 1)
    )
    return Page.of(found, limit, lambda developer: (developer.seq,))


async def disable_developer(
    service: Service, call: Call, principal: Principal, developer_id: str
) -> str:
    """Kill a developer's tokens at once; doing so again changes nothing. The developer's id.

    With an operator die the tokens that they made for others, and all codes to join that they
    could have made: with one of these they would come back as somebody else.

    Raises:
        OperatorOnly, DeveloperNotFound, BuiltInOwner
    """
    async with refusals_recorded(service, call, Action.DEVELOPER_DISABLED, principal) as attempt:
        require_operator(principal)

        def disable(tx: Transaction) -> str:
            hold(tx, principal)
            developer = _kept(tx, developer_id)
            if developer.id == BUILT_IN_OWNER:
                raise BuiltInOwner
            tx.fence(end_record("developer", developer.id))
            if tx.execute("disable_developer", id=developer.id):
                attempt.developer_id = developer.id
                ended = _end_what_they_made(tx, service, developer)
                record(tx, service, call, attempt, **ended)
            return developer.id

        return await service.store.write(disable)


def _kept(tx: Transaction, developer_id: str) -> Developer:
    developer = tx.one(Developer, "developer_by_id", id=developer_id)
    if developer is None:
        raise DeveloperNotFound
    return developer


def _end_what_they_made(tx: Transaction, service: Service, maker: Developer) -> dict[str, int]:
    """End what was made for others; how many of each, where there were any."""
    tokens, codes = _made_for_others(tx, service, maker)
    end_these(tx, [*tokens, *codes])
    ended = {"tokens": len(tokens), "codes": len(codes)}
    return {what: count for what, count in ended.items() if count}


def _made_for_others(
    tx: Transaction, service: Service, maker: Developer
) -> tuple[list[str], list[str]]:
    """Tokens and, of an operator, codes to join that they may have made."""
    tokens = tx.all(str, "tokens_made_for_others", developer_id=maker.id)
    open_codes = tx.all(Token, "open_invitations", now=service.now()) if maker.operator else []
    return tokens, [code.id for code in open_codes if code.created_at >= maker.created_at]


async def what_would_end(service: Service, principal: Principal, developer_id: str) -> Ending:
    """What disabling this developer would end.

    Raises:
        OperatorOnly, DeveloperNotFound
    """
    require_operator(principal)

    def count(tx: Transaction) -> Ending:
        confirm(tx, principal)
        developer = _kept(tx, developer_id)
        own = tx.all(_Live, "live_tokens", developer_id=developer_id, now=service.now())
        counts = {each.kind: each.live for each in own}
        sessions, own_codes = counts.pop(Kind.SESSION, 0), counts.pop(Kind.INVITATION, 0)
        for_others, codes = map(len, _made_for_others(tx, service, developer))
        return Ending(sum(counts.values()), sessions, for_others, max(codes, own_codes))

    return await service.store.read(count)


async def get_developer(service: Service, principal: Principal, developer_id: str) -> Developer:
    """One developer.

    Raises:
        OperatorOnly, DeveloperNotFound
    """
    require_operator(principal)

    def find(tx: Transaction) -> Developer:
        confirm(tx, principal)
        return _kept(tx, developer_id)

    return await service.store.read(find)


async def operator_exists(service: Service) -> bool:
    """Whether anybody can govern this installation over HTTP."""
    return bool(await service.store.read(lambda tx: tx.one(int, "count_active_operators")))


async def _create(
    service: Service, call: Call, principal: Principal | None, email: str, *, operator: bool
) -> Welcomed:
    actor = principal.actor if principal else COMMAND_LINE
    cleaned = clean_email(email)
    token = service.new_credential(Kind.DEVELOPER_TOKEN)

    def create(tx: Transaction) -> Welcomed:
        if principal:
            hold(tx, principal)
        developer = add_developer(tx, service, cleaned, operator=operator)
        attempt = Attempt(Action.DEVELOPER_CREATED, actor, developer_id=developer.id)
        record(tx, service, call, attempt, operator=operator)
        new = NewToken(Kind.DEVELOPER_TOKEN, FIRST_TOKEN, developer.id)
        add_token(tx, service, call, Attempt(Action.TOKEN_CREATED, actor), new, token)
        return Welcomed(developer, token)

    return await service.store.write(create)


def add_developer(tx: Transaction, service: Service, email: str, *, operator: bool) -> Developer:
    """Keep a new developer alone; whoever calls this has an entry of their own.

    Raises:
        EmailTaken
    """
    identifier = service.new_id()
    added = tx.execute(
        "add_developer", id=identifier, email=email, operator=operator, now=service.now()
    )
    developer = tx.one(Developer, "developer_by_id", id=identifier)
    if not added or developer is None:
        raise EmailTaken
    return developer
