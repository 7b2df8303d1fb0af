"""Holds the installation's server keys against what the database needs.

A server key is registered before anything is kept under it, by the process whose current one it
is, and stays so for as long as anything may be. So a process that finds no record, and then that
all registered keys are its own, knows that there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.actions.guard_move import stay
from keyturn.actions.record_audit import insert_entry, local_entry
from keyturn.actions.service import Service
from keyturn.core.audit_trail import Action
from keyturn.core.errors import Unavailable
from keyturn.core.keyed_hash import ServerKey
from keyturn.storage.store import Store, Transaction

_MISSING = "it may be under a server key that this process does not have"


class MissingServerKey(Exception):
    """Records need a server key that is not there, or is another one of the same id."""


class UnknownServerKey(Exception):
    """There is no such server key to give up."""


@dataclass(frozen=True, slots=True)
class KnownServerKey:
    """What the database knows of a server key that records are, or were, under."""

    id: str
    verifier: bytes
    abandoned: bool


@dataclass(frozen=True, slots=True)
class Dependents:
    """What dies with a server key."""

    agents: int = 0
    retired: int = 0
    receipts: int = 0
    charges: int = 0
    tokens: int = 0

    def __str__(self) -> str:
        return (
            f"{self.agents} agents, {self.retired} retired credentials, "
            f"{self.receipts} receipts, {self.charges} charges and {self.tokens} tokens"
        )


@dataclass(frozen=True, slots=True)
class _Registered:
    """How many server keys are registered, and how many of them have a certain verifier."""

    needed: int
    ours: int


async def check_server_keys(store: Store, keys: Sequence[ServerKey]) -> None:
    """Make sure that every record can still be matched.

    Raises:
        MissingServerKey: some could not; the message says how many, and what to do.
    """
    present = {key.id: key for key in keys}
    all_known = await store.read(_known)
    if not keys and not all(known.abandoned for known in all_known):
        ids = ", ".join(repr(known.id) for known in all_known)
        raise MissingServerKey(f"There is no server key, and this installation has {ids}.")
    for known in all_known:
        key = present.get(known.id)
        if key is not None and key.verifier != known.verifier:
            raise MissingServerKey(_another_key(known.id))
        if key is not None or known.abandoned:
            continue
        dependents = await dependents_of(store, known.id)
        if dependents != Dependents():
            raise MissingServerKey(
                f"The server key {known.id!r} is missing, and {dependents} need it. Put it back, "
                f"or give them up with --abandon-key {known.id}."
            )


async def dependents_of(store: Store, key_id: str) -> Dependents:
    """How many records are under this server key."""
    return await store.read(lambda tx: _dependents(tx, key_id))


async def register_server_keys(service: Service) -> None:
    """Let the database know the current key, so that nobody goes without it unawares.

    A key that was added and is not current yet is not needed by anybody, and one that is not here
    and that nothing is under is forgotten. In the same transaction the service stays here: who
    moves it finds either the key or nobody.

    Raises:
        MissingServerKey: another process has made another key of the same id known just now.
        ServedElsewhere
    """

    def register(tx: Transaction) -> None:
        stay(tx)
        _register_current(tx, service)
        registered = {known.id: known for known in _known(tx)}
        for key in service.keyring.keys:
            known = registered.pop(key.id, None)
            if known is not None and known.verifier != key.verifier:
                raise MissingServerKey(_another_key(key.id))
            tx.execute("restore_server_key", id=key.id)
        for known in registered.values():
            _forget_needless(tx, known)

    await service.store.write(register)


async def confirm_server_keys(service: Service) -> None:
    """Make sure, after a look-up that has found nothing, that there is nothing.

    Raises:
        Unavailable: it may be under a server key that is not here.
    """
    verifiers = {key.verifier for key in service.keyring.keys}
    found = await service.store.look_up(_Registered, "server_keys_of_verifier", [*verifiers])
    if sum(each.ours for each in found) != found[0].needed:
        raise Unavailable(_MISSING)


def confirm_server_keys_in(tx: Transaction, service: Service) -> None:
    """`confirm_server_keys`, within the transaction that has found nothing.

    Raises:
        Unavailable
    """
    if _missing(_known(tx), service):
        raise Unavailable(_MISSING)


async def missing_server_keys(service: Service) -> list[str]:
    """The ids of the keys that records may be under, and that are not here.

    The current key is registered again where another process has seen nothing under it.

    Raises:
        Unavailable: the store can't answer.
    """
    registered = await service.store.read(_known)
    if service.keyring.current.id not in (known.id for known in registered):
        await service.store.write(lambda tx: _register_current(tx, service))
    return _missing(registered, service)


async def abandon_server_key(store: Store, key_id: str, *, now: int, entry_id: str) -> None:
    """Go on without a server key; what is under it never matches again.

    It takes no `Service`, because without the key there is none yet.

    Raises:
        UnknownServerKey: the database knows none of this id, or has given it up already.
    """
    entry = local_entry(Action.SERVER_KEY_ABANDONED, id=entry_id, at=now, serverKeyId=key_id)

    def abandon(tx: Transaction) -> None:
        if not tx.execute("abandon_server_key", id=key_id):
            raise UnknownServerKey(f"The database needs no server key {key_id!r}.")
        insert_entry(tx, entry)

    await store.write(abandon)


def _register_current(tx: Transaction, service: Service) -> None:
    key = service.keyring.current
    tx.execute("add_server_key", id=key.id, verifier=key.verifier, now=service.now())


def _forget_needless(tx: Transaction, known: KnownServerKey) -> None:
    tx.one(int, "hold_server_key", id=known.id)
    if not known.abandoned and _dependents(tx, known.id) == Dependents():
        tx.execute("forget_server_key", id=known.id)


def _dependents(tx: Transaction, key_id: str) -> Dependents:
    return Dependents(
        *(
            tx.one(int, f"count_{what}_under_server_key", id=key_id) or 0
            for what in ("agents", "retired", "receipts", "charges", "tokens")
        )
    )


def _missing(registered: list[KnownServerKey], service: Service) -> list[str]:
    verifiers = {key.id: key.verifier for key in service.keyring.keys}
    return [
        known.id
        for known in registered
        if not known.abandoned and verifiers.get(known.id) != known.verifier
    ]


def _another_key(key_id: str) -> str:
    return f"The server key {key_id!r} is not the one that this database knows by that id."


def _known(tx: Transaction) -> list[KnownServerKey]:
    return tx.all(KnownServerKey, "server_keys")
