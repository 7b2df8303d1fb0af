"""Invitations: a code by which a developer sets a password, for the first time or again."""

from dataclasses import dataclass

from keyturn.actions.authenticate import find_token, require_operator
from keyturn.actions.find_agent import confirm, hold
from keyturn.actions.manage_developers import add_developer
from keyturn.actions.manage_tokens import NewToken, end_tokens, keep_token
from keyturn.actions.passwords import hashed
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.sign_in import NewSession, address_tries, begin_session
from keyturn.core.agent import DAY
from keyturn.core.audit_trail import COMMAND_LINE, Action, Actor
from keyturn.core.credential import Credential, Kind
from keyturn.core.developer import Developer, clean_email, clean_password
from keyturn.core.errors import DeveloperNotFound, WrongCode
from keyturn.core.fence import token_record
from keyturn.core.token import Token
from keyturn.storage.store import Transaction

LIFETIME = 7 * DAY


@dataclass(frozen=True, slots=True)
class Invited:
    """A developer and the code that is shown once."""

    developer: Developer
    code: Credential


async def invite(
    service: Service, call: Call, principal: Principal, email: str, *, operator: bool
) -> Invited:
    """An operator makes a developer, who is given the code.

    Raises:
        OperatorOnly, EmailTaken
        InvalidRequest: the email.
    """
    cleaned = clean_email(email)
    code = service.new_credential(Kind.INVITATION)
    async with refusals_recorded(service, call, Action.DEVELOPER_INVITED, principal):
        require_operator(principal)

        def make(tx: Transaction) -> Invited:
            hold(tx, principal)
            developer = add_developer(tx, service, cleaned, operator=operator)
            return _give(tx, service, call, principal.actor, developer, code)

        return await service.store.write(make)


async def invite_again(
    service: Service, call: Call, principal: Principal, developer_id: str
) -> Invited:
    """An operator gives a developer a new code; earlier ones are dead.

    Raises:
        OperatorOnly, DeveloperNotFound
    """
    code = service.new_credential(Kind.INVITATION)
    async with refusals_recorded(service, call, Action.DEVELOPER_INVITED, principal):
        require_operator(principal)

        def make(tx: Transaction) -> Invited:
            hold(tx, principal)
            developer = tx.one(Developer, "developer_by_id", id=developer_id)
            return _give(tx, service, call, principal.actor, developer, code)

        return await service.store.write(make)


async def invite_locally(service: Service, email: str, *, operator: bool) -> Invited:
    """The command line invites a developer, who may be there already.

    Raises:
        InvalidRequest: the email.
        DeveloperNotFound: they are disabled.
    """
    cleaned = clean_email(email)
    code = service.new_credential(Kind.INVITATION)

    def make(tx: Transaction) -> Invited:
        known = tx.one(Developer, "developer_by_email", email=cleaned)
        developer = known or add_developer(tx, service, cleaned, operator=operator)
        return _give(tx, service, Call.local(), COMMAND_LINE, developer, code)

    return await service.store.write(make)


async def open_invitations(service: Service, principal: Principal) -> dict[str, Token]:
    """Every code that can be typed still, by the developer whom it is for.

    Raises:
        OperatorOnly
        InvalidToken: as `confirm`.
    """
    require_operator(principal)

    def find(tx: Transaction) -> list[Token]:
        confirm(tx, principal)
        return tx.all(Token, "open_invitations", now=service.now())

    found = await service.store.scan(find)
    return {token.developer_id: token for token in found if token.developer_id}


async def accept_invitation(
    service: Service, call: Call, code: str, password: str, former: str | None = None
) -> NewSession:
    """Set the password of whoever has the code, and sign them in; their sessions end.

    So does the `former` one of the browser, whosever it is.

    Raises:
        WrongCode, TooManySignIns
        InvalidRequest: the password.
    """
    async with refusals_recorded(service, call, Action.DEVELOPER_JOINED) as attempt:
        tries = address_tries(call)
        await tries.take(service, call)
        token = await find_token(service, code.strip(), Kind.INVITATION)
        if token is None or token.developer_id is None:
            raise WrongCode
        await tries.give_back(service)
        developer_id = token.developer_id
        attempt.actor, attempt.developer_id = Actor("developer", developer_id), developer_id
        developer = await service.store.read(
            lambda tx: tx.one(Developer, "developer_by_id", id=developer_id)
        )
        if developer is None:
            raise WrongCode
        kept = await hashed(clean_password(password, developer.email or ""))

        def join(tx: Transaction) -> NewSession:
            uses = tx.one(int, "spend_token", id=token.id, now=service.now())
            if uses is None:
                raise WrongCode
            tx.fence(token_record(token.id, uses))
            tx.execute("set_password", id=developer_id, password=kept)
            end_tokens(tx, developer_id, Kind.SESSION)
            end_tokens(tx, developer_id, Kind.INVITATION)
            return begin_session(tx, service, call, developer_id, Action.DEVELOPER_JOINED, former)

        return await service.store.write(join, alone=[token.id, developer_id])


def _give(
    tx: Transaction,
    service: Service,
    call: Call,
    actor: Actor,
    developer: Developer | None,
    code: Credential,
) -> Invited:
    if developer is None or developer.email is None or developer.status != "active":
        raise DeveloperNotFound
    end_tokens(tx, developer.id, Kind.INVITATION)
    expires_at = service.now() + LIFETIME
    new = NewToken(Kind.INVITATION, "invitation", developer.id, 1, expires_at)
    keep_token(tx, service, new, code)
    attempt = Attempt(Action.DEVELOPER_INVITED, actor, developer_id=developer.id)
    record(tx, service, call, attempt, operator=bool(developer.operator))
    return Invited(developer, code)
