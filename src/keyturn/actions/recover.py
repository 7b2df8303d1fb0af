"""Repeats of a request whose answer was lost: the same answer again (contract, section 4).

The answer is kept sealed under what the request itself has proven, so that a repeat opens it and
nothing else does. A wrong guess destroys nothing.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from keyturn.actions.record_audit import Attempt, record
from keyturn.actions.service import REPLAY_LIMIT, Call, Service
from keyturn.actions.take_attempt import take_attempt
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action, Actor
from keyturn.core.errors import TooManyReplays
from keyturn.core.fence import agent_record
from keyturn.core.keyed_hash import Mac
from keyturn.core.recovery import SALT_LENGTH, Receipt, length_prefixed, seal, unseal
from keyturn.core.rotation import ROTATION_ROWS, Facts, decide
from keyturn.storage.store import Transaction

_RECEIPT = "receipt_or_newest"


@dataclass(frozen=True, slots=True)
class Opened:
    """A receipt that the request has opened."""

    agent_id: str
    generation: int
    answer: bytes


class Recoverable:
    """A request that may be repeated until its answer has arrived.

    `lookups` is what its receipt is found by, under every server key; `proof` what opens it.
    """

    def __init__(self, service: Service, lookups: list[Mac], proof: list[bytes]) -> None:
        self._service = service
        self._lookups = lookups
        self._proof = proof

    @property
    def mark(self) -> str:
        """What twins of this request have in common, in every process."""
        twins = length_prefixed([b"twin", *self._proof])
        return f"twin {self._service.keyring.mac(twins).digest.hex()}"

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[None]:
        """Wait for a twin of this request that is being answered in this process."""
        twin = hashlib.sha256(length_prefixed(self._proof)).digest()
        async with self._service.turns.setdefault(twin, asyncio.Lock()):
            yield

    def find(self, tx: Transaction) -> Opened | None:
        """The receipt, if there is one and this request opens it.

        It costs the same where there is none: another one is read, and not opened.
        """
        found = [tx.one(Receipt, _RECEIPT, mac=mac.digest) for mac in self._lookups]
        return self._opened([receipt for receipt in found if receipt])

    async def find_now(self) -> Opened | None:
        """The same, outside of a transaction."""
        macs = [mac.digest for mac in self._lookups]
        return self._opened(await self._service.store.look_up(Receipt, _RECEIPT, macs))

    def _opened(self, receipts: list[Receipt]) -> Opened | None:
        macs = [mac.digest for mac in self._lookups]
        own = [receipt for receipt in receipts if receipt.lookup in macs]
        if not receipts:
            return None
        found = own[-1] if own else receipts[0]
        answer = unseal(found, self._sealed_under(found.server_key))
        return Opened(found.agent_id, found.generation, answer) if own and answer else None

    def keep(
        self, tx: Transaction, agent_id: str, generation: int, answer: bytes, lifetime: int
    ) -> None:
        """Keep the answer for a repeat, in the transaction that it tells of."""
        service = self._service
        salt = service.random_bytes(SALT_LENGTH)
        server_key = service.keyring.current.id
        tx.execute_later(
            "put_receipt",
            agent_id=agent_id,
            generation=generation,
            lookup=self._lookups[0].digest,
            server_key=server_key,
            salt=salt,
            sealed=seal(answer, self._sealed_under(server_key), salt, agent_id, generation),
            expires_at=service.now() + lifetime,
        )

    def _sealed_under(self, server_key: str) -> list[bytes]:
        return [*self._proof, self._service.keyring.secret(server_key) or b""]


async def replay(
    service: Service, call: Call, request: Recoverable, action: Action
) -> Opened | None:
    """The answer that this request had before, or None where it has to be answered anew.

    Raises:
        TooManyReplays: it was asked for over 20 times within an hour.
    """
    opened = await request.find_now()
    if opened is None:
        return None
    verdict = await take_attempt(service, REPLAY_LIMIT, f"{opened.agent_id} {opened.generation}")
    facts = Facts(repeats_last_rotation=True, replay_allowed=verdict.allowed)
    if decide(ROTATION_ROWS, facts) is TooManyReplays:
        call.verdict = verdict
        raise TooManyReplays

    def record_replay(tx: Transaction) -> Opened | None:
        # The new key may have been used meanwhile.
        if not tx.one(
            bool, "receipt_stands", agent_id=opened.agent_id, generation=opened.generation
        ):
            return None
        attempt = Attempt(action, Actor("agent", opened.agent_id))
        agent = tx.one(Agent, "agent_by_id", id=opened.agent_id)
        if agent is not None:
            attempt.names(agent)
            # Another process may have committed it and not marked it yet.
            tx.fence(agent_record(agent.id, agent.generation, agent.status))
        record(tx, service, call, attempt, generation=opened.generation)
        return opened

    return await service.store.write(record_replay, alone=[opened.agent_id])
