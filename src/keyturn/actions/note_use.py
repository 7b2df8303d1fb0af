"""Keeps when credentials were last used, and moves them to the current server key, in batches."""

import json
from functools import partial

from keyturn.actions.pending_uses import WAITING_FIRST, Key, Use, put_back
from keyturn.actions.service import Call, Service
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential
from keyturn.core.errors import Unavailable
from keyturn.core.session import Session
from keyturn.core.token import Token
from keyturn.storage.store import Transaction


def note_key_use(service: Service, call: Call, agent: Agent, key: Credential) -> None:
    """Remember that this agent's current API key was accepted now."""
    place: Key = ("agent", agent.id)
    now = service.now()
    used_at = agent.last_used_at if agent.key_was_used else None
    waiting = _waiting(service, place, now, used_at, agent.key_server_key)
    if waiting is not None:
        use = Use(now, call.address.text, agent.generation)
        waiting[place] = _moved(service, use, key, agent.key_server_key)


def note_token_use(service: Service, token: Token | Session, credential: Credential) -> None:
    """Remember that this token was accepted now."""
    place: Key = ("token", token.id)
    now = service.now()
    waiting = _waiting(service, place, now, token.last_used_at, token.server_key)
    if waiting is not None:
        waiting[place] = _moved(service, Use(now), credential, token.server_key)


def _waiting(
    service: Service, place: Key, now: int, used_at: int | None, server_key: str
) -> dict[Key, Use] | None:
    """Where the use is kept, or None where there is no room for it."""
    uses = service.uses
    if used_at is None or server_key != service.keyring.current.id:
        return uses.first if len(uses.first) < WAITING_FIRST else None
    return uses.later if uses.has_room(place, now - used_at) else None


def _moved(service: Service, use: Use, credential: Credential, server_key: str) -> Use:
    keyring = service.keyring
    if server_key != keyring.current.id:
        old = next(m for m in keyring.candidates(credential) if m.server_key == server_key)
        use.old_mac, use.new = old.digest, keyring.mac(credential)
    return use


async def write_uses(service: Service) -> None:
    """Write what was noted since the last time.

    Raises:
        Unavailable: the store can't answer; the next round writes this batch too.
    """
    for waiting, batch in service.uses.take():
        try:
            alone = [identifier for _, identifier in batch]
            await service.store.write(partial(_write, batch), alone=alone)
        except Unavailable:
            put_back(waiting, batch)
            raise


def _write(batch: dict[Key, Use], tx: Transaction) -> None:
    # In one statement each: a thread that comes and goes for every row holds up the event loop.
    agents = [
        (identifier, use.generation, use.at, use.address)
        for (table, identifier), use in batch.items()
        if table == "agent"
    ]
    if agents:
        tx.execute("note_agents_used", uses=json.dumps(agents))
        # Whoever uses the new key has its answer, and needs no other.
        tx.execute("end_receipts_used", uses=json.dumps(agents))
    for (table, identifier), use in batch.items():
        if table == "token":
            tx.execute("note_token_used", id=identifier, at=use.at)
        if use.new is not None:
            query = "move_agent_key" if table == "agent" else "move_token"
            new = use.new
            tx.execute(query, old_mac=use.old_mac, new_mac=new.digest, server_key=new.server_key)
