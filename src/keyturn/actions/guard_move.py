"""While a store is moved, and afterwards, the service is in one of the two databases at most.

The original says so in the end, and the copy from its beginning until the original has said so.
"""

from keyturn.actions.record_audit import insert_entry
from keyturn.core.audit_trail import Entry
from keyturn.storage.store import Store, Transaction


class ServedElsewhere(Exception):
    """The service is not in this database; the message says where it is."""


def stay(tx: Transaction) -> None:
    """Make sure that the service is here, until the transaction ends.

    Raises:
        ServedElsewhere
    """
    if tx.execute("stay"):
        return
    moved_to = tx.one(lambda text: text, "moved_to")
    if moved_to is None:
        raise ServedElsewhere(
            "The database is a copy that is not complete: run keyturn migrate --to again, where "
            "the original is."
        )
    raise ServedElsewhere(
        f"The database was moved to PostgreSQL ({moved_to}), and keys that were rotated there "
        "would live again here: set KEYTURN_DATABASE to where it is now."
    )


async def arrive(store: Store, move: str, entry: Entry) -> None:
    """Let the service be in the copy from now on, with an entry in its trail.

    Raises:
        ServedElsewhere: it is another move's copy.
    """

    def end(tx: Transaction) -> None:
        if not tx.execute("arrive", move=move):
            raise ServedElsewhere("The copy is not the one that was made.")
        insert_entry(tx, entry)

    await store.write(end)
