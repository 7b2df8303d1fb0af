"""Holds the installation's server keys against what the database needs."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.actions.guard_move import stay
from keyturn.actions.record_audit import insert_entry, local_entry
from keyturn.actions.service import Service
from keyturn.core.audit_trail import Action
from keyturn.core.keyed_hash import ServerKey
from keyturn.storage.store import Store, Transaction


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

    def count(tx: Transaction) -> Dependents:
        return Dependents(
            *(
                tx.one(int, f"count_{what}_under_server_key", id=key_id) or 0
                for what in ("agents", "retired", "receipts", "charges", "tokens")
            )
        )

    return await store.read(count)


async def register_server_keys(service: Service) -> None:
    """Let the database know every key, so that a later start can miss it.

    In the same transaction the service stays here: who moves it finds either the key or nobody.

    Raises:
        MissingServerKey: another process has made another key of the same id known just now.
        ServedElsewhere
    """

    def register(tx: Transaction) -> None:
        stay(tx)
        for key in service.keyring.keys:
            tx.execute("add_server_key", id=key.id, verifier=key.verifier, now=service.now())
            tx.execute("restore_server_key", id=key.id)
        verifiers = {known.id: known.verifier for known in _known(tx)}
        for key in service.keyring.keys:
            if verifiers[key.id] != key.verifier:
                raise MissingServerKey(_another_key(key.id))

    await service.store.write(register)


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


def _another_key(key_id: str) -> str:
    return f"The server key {key_id!r} is not the one that this database knows by that id."


def _known(tx: Transaction) -> list[KnownServerKey]:
    return tx.all(KnownServerKey, "server_keys")
