"""A developer's sessions: seen, ended, and the password that they hang on."""

import unicodedata

from keyturn.actions.find_agent import confirm, hold
from keyturn.actions.manage_tokens import end_token, end_tokens
from keyturn.actions.passwords import hashed, is_right
from keyturn.actions.record_audit import Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.sign_in import NewSession, begin_session, device_tries
from keyturn.core.audit_trail import Action
from keyturn.core.credential import Kind
from keyturn.core.developer import Developer, clean_password
from keyturn.core.errors import SessionEnded, TokenNotFound, WrongOwnPassword
from keyturn.core.session import Session
from keyturn.core.token import Token
from keyturn.storage.store import Transaction


def principal_of(session: Session) -> Principal:
    """The developer whose session it is."""
    return Principal(session.developer_id, bool(session.operator), session.id)


async def list_sessions(service: Service, principal: Principal) -> list[Session]:
    """The developer's own sessions that are alive, newest first."""

    def read(tx: Transaction) -> list[Session]:
        confirm(tx, principal)
        return tx.all(Session, "sessions_of_developer", developer_id=principal.developer_id)

    now = service.now()
    return [each for each in await service.store.scan(read) if each.is_live(now)]


async def end_session(service: Service, call: Call, principal: Principal, session_id: str) -> None:
    """End one of the developer's own sessions. Raises `TokenNotFound`."""

    def end(tx: Transaction) -> None:
        hold(tx, principal)
        token = tx.one(Token, "token_by_id", id=session_id)
        mine = token is not None and token.developer_id == principal.developer_id
        if token is None or token.kind != Kind.SESSION or not mine:
            raise TokenNotFound
        signed_out = token.id == principal.token_id
        action = Action.DEVELOPER_SIGNED_OUT if signed_out else Action.DEVELOPER_SESSION_ENDED
        end_token(tx, token.id)
        _record(tx, service, call, principal, action, sessionId=token.id)

    await service.store.write(end)


async def end_other_sessions(service: Service, call: Call, principal: Principal) -> None:
    """End all of the developer's sessions but the one that asks."""

    def end(tx: Transaction) -> None:
        hold(tx, principal)
        ended = end_tokens(tx, principal.developer_id, Kind.SESSION, but=principal.token_id)
        if ended:
            action = Action.DEVELOPER_SESSION_ENDED
            _record(tx, service, call, principal, action, others=ended)

    await service.store.write(end)


async def confirm_password(service: Service, call: Call, session: Session, password: str) -> None:
    """The developer shows again that they know their password.

    Raises:
        WrongOwnPassword, TooManySignIns
        SessionEnded: meanwhile.
    """
    action = Action.DEVELOPER_PASSWORD_CONFIRMED
    principal = principal_of(session)
    async with refusals_recorded(service, call, action, principal):
        await _prove(service, call, session, password)

        def note(tx: Transaction) -> None:
            hold(tx, principal)
            tx.execute("note_authenticated", id=session.id, now=service.now())

        await service.store.write(note)


async def change_password(
    service: Service, call: Call, session: Session, current: str, new: str
) -> NewSession:
    """Another password; every session and code of before ends, and this browser gets a new session.

    Raises:
        InvalidRequest: the new one, which it calls "new".
        WrongOwnPassword, TooManySignIns
        SessionEnded: meanwhile.
    """
    action = Action.DEVELOPER_PASSWORD_CHANGED
    principal = principal_of(session)
    cleaned = clean_password(new, session.email, "new")
    async with refusals_recorded(service, call, action, principal):
        await _prove(service, call, session, current)
        kept = await hashed(cleaned)

        def change(tx: Transaction) -> NewSession:
            hold(tx, principal)
            tx.execute("set_password", id=session.developer_id, password=kept)
            end_tokens(tx, session.developer_id, Kind.SESSION)
            end_tokens(tx, session.developer_id, Kind.INVITATION)
            return begin_session(tx, service, call, session.developer_id, action)

        return await service.store.write(change, alone=[session.developer_id])


async def _prove(service: Service, call: Call, session: Session, password: str) -> None:
    # By the session, not the address: only who has the session can use up its tries.
    tries = device_tries(session.id)
    await tries.take(service, call)
    developer = await service.store.read(
        lambda tx: tx.one(Developer, "developer_by_id", id=session.developer_id)
    )
    if developer is None:
        raise SessionEnded
    if not await is_right(unicodedata.normalize("NFC", password), developer.password):
        raise WrongOwnPassword
    await tries.give_back(service)


def _record(
    tx: Transaction,
    service: Service,
    call: Call,
    principal: Principal,
    action: Action,
    **details: object,
) -> None:
    attempt = Attempt(action, principal.actor, developer_id=principal.developer_id)
    record(tx, service, call, attempt, **details)
