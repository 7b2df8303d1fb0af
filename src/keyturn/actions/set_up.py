"""The first operator, made by whoever has the code that the service says where it was started.

The code is derived under a server key from a nonce in the database. So all processes of an
installation know the same one, and the database alone tells nobody.
"""

import hmac

from keyturn.actions.manage_developers import add_developer
from keyturn.actions.passwords import hashed
from keyturn.actions.record_audit import refusals_recorded
from keyturn.actions.service import Call, Service
from keyturn.actions.sign_in import NewSession, address_tries, begin_session
from keyturn.core.audit_trail import Action
from keyturn.core.developer import clean_email, clean_password
from keyturn.core.errors import SetUpAlready, WrongCode
from keyturn.core.keyed_hash import ServerKey
from keyturn.core.recovery import length_prefixed
from keyturn.core.typed_code import normal_code, typed_code
from keyturn.storage.store import Transaction

CODE_LIFETIME = 3_600_000
"""Milliseconds."""
_ONE_SETUP = "setup"


async def setup_code(service: Service) -> str | None:
    """The code of this hour, made where there is none; None once there is an operator."""
    nonce = service.random_bytes(16).hex()

    def find(tx: Transaction) -> str | None:
        if tx.one(int, "count_active_operators"):
            return None
        now = service.now()
        kept, expires_at = tx.one(_pair, "setup") or (None, None)
        if kept is None or expires_at is None or not now < expires_at <= now + CODE_LIFETIME:
            kept = nonce
            tx.execute("put_setup", nonce=kept, expires_at=now + CODE_LIFETIME)
        return _code(service.keyring.current, kept)

    return await service.store.write(find, alone=[_ONE_SETUP])


async def set_up(
    service: Service, call: Call, code: str, email: str, password: str, former: str | None = None
) -> NewSession:
    """Make the first operator, and sign them in; the browser's `former` session ends.

    Raises:
        InvalidRequest: the email or the password.
        SetUpAlready: there is an operator.
        WrongCode, TooManySignIns
        EmailTaken: a developer of before has it.
    """
    cleaned = clean_email(email)
    kept_password = clean_password(password, cleaned)
    async with refusals_recorded(service, call, Action.DEVELOPER_SET_UP) as attempt:
        # Of the address alone: nobody guesses 80 bits, and nobody must keep the owner out.
        tries = address_tries(call)
        await tries.take(service, call)
        await service.store.read(lambda tx: _prove(tx, service, code))
        password_hash = await hashed(kept_password)

        def make(tx: Transaction) -> NewSession:
            _prove(tx, service, code)
            tx.execute("put_setup", nonce=None, expires_at=None)
            developer = add_developer(tx, service, cleaned, operator=True)
            attempt.developer_id = developer.id
            tx.execute("set_password", id=developer.id, password=password_hash)
            return begin_session(tx, service, call, developer.id, Action.DEVELOPER_SET_UP, former)

        made = await service.store.write(make, alone=[_ONE_SETUP])
        await tries.give_back(service)
        return made


def _prove(tx: Transaction, service: Service, code: str) -> None:
    if tx.one(int, "count_active_operators"):
        raise SetUpAlready
    nonce, expires_at = tx.one(_pair, "setup") or (None, None)
    if nonce is None or expires_at is None or service.now() >= expires_at:
        raise WrongCode
    typed = normal_code(code).encode()
    rights = [normal_code(_code(key, nonce)).encode() for key in service.keyring.keys]
    if not any(hmac.compare_digest(right, typed) for right in rights):
        raise WrongCode


def _code(key: ServerKey, nonce: str) -> str:
    return typed_code(key.digest(length_prefixed([b"setup code", nonce.encode()])))


def _pair(nonce: str | None, expires_at: int | None) -> tuple[str | None, int | None]:
    return nonce, expires_at
