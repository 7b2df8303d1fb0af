"""Signing in: an email and a password for a new session."""

import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field

from keyturn.actions.find_agent import kept_now
from keyturn.actions.manage_tokens import NewToken, end_token, keep_token
from keyturn.actions.note_use import note_token_use
from keyturn.actions.passwords import hashed, is_right, needs_rehash
from keyturn.actions.record_audit import MAX_USER_AGENT, Attempt, record, refusals_recorded
from keyturn.actions.service import Call, Service
from keyturn.actions.take_attempt import take_attempt
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.credential import Credential, Kind, redact
from keyturn.core.developer import Developer
from keyturn.core.errors import SessionEnded, TooManySignIns, WrongPassword
from keyturn.core.rate_limit import Limit
from keyturn.core.recovery import length_prefixed
from keyturn.core.session import MAX_AGE, Session
from keyturn.storage.store import Transaction

ADDRESS_LIMIT = Limit("sign-in", 10, 900)
"""Of an address, or of a browser that has signed in as this developer before."""
ACCOUNT_LIMIT = Limit("sign-in-account", 30, 3600)
"""Of one email over all addresses that aren't known."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that begins, the credential that is it, and the mark of the browser."""

    session: Session
    credential: Credential
    device: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tries:
    """Which attempts count: they are given back by whoever turns out to be right."""

    buckets: tuple[tuple[Limit, str], ...]

    async def take(self, service: Service, call: Call) -> None:
        """Raises `TooManySignIns`, and leaves in the call when an attempt is left."""
        for place, (limit, bucket) in enumerate(self.buckets):
            verdict = await take_attempt(service, limit, bucket)
            if not verdict.allowed:
                # What one limit refuses costs nothing of another.
                await Tries(self.buckets[:place]).give_back(service)
                call.verdict = verdict
                raise TooManySignIns(verdict.reset_seconds)

    async def give_back(self, service: Service) -> None:
        keys = [f"{limit.name} {bucket}" for limit, bucket in self.buckets]
        if not keys:
            return

        def forget(tx: Transaction) -> None:
            for key in keys:
                tx.execute("forget_newest_attempt", bucket=key, now=service.now())

        await service.limits.write(forget, alone=keys)


async def sign_in(
    service: Service,
    call: Call,
    email: str,
    password: str,
    device: str | None,
    former: str | None = None,
) -> NewSession:
    """A new session for whoever knows the password, in the place of the browser's former one.

    A wrong one counts against the address and the account; in a browser that has signed in as
    this developer before, against that browser alone, so that nobody else can lock it out
    (OWASP's device cookies).

    Raises:
        WrongPassword: or no such developer, or a disabled one, or one who has no password.
        TooManySignIns
        Unavailable
    """
    password = unicodedata.normalize("NFC", password)
    async with refusals_recorded(service, call, Action.DEVELOPER_SIGNED_IN) as attempt:
        developer, kept = await _prove(service, call, email.strip().lower(), password, device)
        attempt.actor = Actor("developer", developer.id)
        again = await hashed(password) if needs_rehash(kept) else None

        def begin(tx: Transaction) -> NewSession:
            _confirm_kept(tx, developer.id, kept)
            if again is not None:
                tx.execute("set_password", id=developer.id, password=again)
            action = Action.DEVELOPER_SIGNED_IN
            return begin_session(tx, service, call, developer.id, action, former)

        try:
            return await service.store.write(begin, alone=[developer.id])
        except SessionEnded:
            raise WrongPassword from None


async def _prove(
    service: Service, call: Call, email: str, password: str, device: str | None
) -> tuple[Developer, str]:
    """Who knows the password, and its hash. Raises as `sign_in`."""
    developer = await service.store.read(
        lambda tx: tx.one(Developer, "developer_by_email", email=email)
    )
    known = developer is not None and _is_known(service, developer, device)
    tries = device_tries(device or "") if known else _strangers_tries(service, call, email)
    await tries.take(service, call)
    kept = developer.password if developer else None
    right = await is_right(password, kept)
    if not right or developer is None or kept is None or developer.status != "active":
        raise WrongPassword
    await tries.give_back(service)
    return developer, kept


def _confirm_kept(tx: Transaction, developer_id: str, kept: str) -> None:
    """Raises `WrongPassword`: it was changed while it was checked, and is right no more."""
    developer = tx.one(Developer, "developer_by_id", id=developer_id)
    if developer is None or developer.password != kept:
        raise WrongPassword


def address_tries(call: Call) -> Tries:
    """Of somebody whom nothing is known of."""
    return Tries(((ADDRESS_LIMIT, call.address.bucket),))


def device_tries(device: str) -> Tries:
    """Of a browser that is known."""
    return Tries(((ADDRESS_LIMIT, f"device {device.partition('.')[0]}"),))


def begin_session(
    tx: Transaction,
    service: Service,
    call: Call,
    developer_id: str,
    action: Action,
    former: str | None = None,
) -> NewSession:
    """Keep a new session of this developer, and its entry in the trail.

    `former` is the session that the browser has shown, whosever it is: it ends.

    Raises:
        SessionEnded: the developer was disabled meanwhile.
    """
    credential = service.new_credential(Kind.SESSION)
    now = service.now()
    new = NewToken(Kind.SESSION, "session", developer_id, expires_at=now + MAX_AGE)
    token = keep_token(tx, service, new, credential)
    if token.developer_status != "active":
        raise SessionEnded
    agent = redact(call.user_agent)[:MAX_USER_AGENT] if call.user_agent else None
    tx.execute("add_session", id=token.id, address=call.address.text, user_agent=agent, now=now)
    actor = Actor("developer", developer_id)
    _end_former(tx, service, call, actor, former)
    attempt = Attempt(action, actor, developer_id=developer_id)
    record(tx, service, call, attempt, sessionId=token.id)
    session = tx.one(Session, "session_by_mac", mac=token.mac)
    developer = tx.one(Developer, "developer_by_id", id=developer_id)
    if session is None or developer is None:
        raise LookupError("a session that was just kept")
    return NewSession(session, credential, _mark(service, developer))


def _end_former(
    tx: Transaction, service: Service, call: Call, actor: Actor, former: str | None
) -> None:
    credential = service.parse(former, Kind.SESSION)
    for mac in service.keyring.candidates(credential) if credential else ():
        session = tx.one(Session, "session_by_mac", mac=mac.digest)
        if session is not None:
            end_token(tx, session.id)
            action = Action.DEVELOPER_SESSION_ENDED
            attempt = Attempt(action, actor, developer_id=session.developer_id)
            record(tx, service, call, attempt, sessionId=session.id)


async def authenticate_session(service: Service, text: str | None) -> Session:
    """The session that this credential is.

    Raises:
        SessionEnded: none, unknown, ended, too old, unused for too long, or of a developer who
            is disabled.
        Unavailable: the store can't answer.
    """
    credential = service.parse(text, Kind.SESSION)
    if credential is None:
        raise SessionEnded
    session = await kept_now(service, Session, "session_by_mac", credential)
    if session is None or not session.is_live(service.now()):
        raise SessionEnded
    note_token_use(service, session, credential)
    return session


def _strangers_tries(service: Service, call: Call, email: str) -> Tries:
    # Hashed, because people type a password or a token into the wrong field.
    account = service.keyring.mac(length_prefixed([b"account", email.encode()])).digest.hex()
    return Tries((*address_tries(call).buckets, (ACCOUNT_LIMIT, account)))


def _mark(service: Service, developer: Developer) -> str:
    name = secrets.token_hex(16)
    digest = service.keyring.mac(_device_message(name, developer)).digest
    return f"{name}.{digest.hex()}"


def _is_known(service: Service, developer: Developer, device: str | None) -> bool:
    name, _, digest = (device or "").partition(".")
    candidates = service.keyring.candidates(_device_message(name, developer))
    shown = digest.encode()
    return any(hmac.compare_digest(mac.digest.hex().encode(), shown) for mac in candidates)


def _device_message(name: str, developer: Developer) -> bytes:
    # With the password's hash: who knew an earlier password has no tries of their own.
    kept = developer.password or ""
    return length_prefixed([b"device", name.encode(), developer.id.encode(), kept.encode()])
