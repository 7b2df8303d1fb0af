"""Keeps when credentials were last used, and moves them to the current server key, in batches."""

from keyturn.actions.service import Move, Service, Table, Use
from keyturn.core.credential import Credential
from keyturn.storage.store import Transaction


def note_use(
    service: Service,
    table: Table,
    identifier: str,
    credential: Credential,
    server_key: str,
    generation: int | None = None,
) -> None:
    """Remember that this credential was accepted now; of an API key, of which generation."""
    service.uses.last[table, identifier] = Use(service.now(), generation)
    if server_key != service.keyring.current.id:
        old = next(m for m in service.keyring.candidates(credential) if m.server_key == server_key)
        service.uses.moves[table, identifier] = Move(old.digest, service.keyring.mac(credential))


async def write_uses(service: Service) -> None:
    """Write what was noted since the last time.

    Raises:
        Unavailable: the store can't answer; this batch is lost, and the next use is noted again.
    """
    last, moves = service.uses.take()
    if not last:
        return

    def write(tx: Transaction) -> None:
        for (table, identifier), use in last.items():
            tx.execute(f"note_{table}_used", id=identifier, at=use.at)
            if use.generation is not None:
                # Whoever uses the new key has its answer, and needs no other.
                tx.execute("end_receipt", agent_id=identifier, generation=use.generation)
        for (table, _), move in moves.items():
            query = "move_agent_key" if table == "agent" else "move_token"
            tx.execute(
                query,
                old_mac=move.old_mac,
                new_mac=move.new.digest,
                server_key=move.new.server_key,
            )

    await service.store.write(write)
