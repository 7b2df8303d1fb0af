"""Brings refusals, and retired credentials that came back, from the limits' store to the trail."""

import json
from dataclasses import asdict, dataclass
from functools import partial

from keyturn.actions.answer_reuse import answer_reuse
from keyturn.actions.notice_reuse import reuse_refusal
from keyturn.actions.record_audit import insert_entry, refusal_columns
from keyturn.actions.service import Service
from keyturn.core.audit_trail import (
    ENTRIES_A_SECOND,
    TALLY_WINDOW,
    Action,
    Entry,
    Refusal,
    Tally,
    fold,
)
from keyturn.core.errors import Unavailable
from keyturn.core.rate_limit import Counted
from keyturn.storage.store import Transaction

REFUSALS_AT_ONCE = 1000
ENTRIES_AT_ONCE = 200
_TRAIL_BUCKET = "audit entries"
_SECOND = 1000


@dataclass(frozen=True, slots=True)
class _Kept:
    """A refusal in the limits' store."""

    seq: int
    reason: str
    bucket: str | None
    entry: str
    times: int

    @property
    def refusal(self) -> Refusal:
        return Refusal(Entry(**json.loads(self.entry)), self.reason, self.bucket, self.times)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry on its way to the trail."""

    seq: int
    entry: str


async def move_refusals_to_trail(service: Service) -> None:
    """Bring every refusal kept so far into the trail. Any number of processes may do this.

    Raises:
        Unavailable: a store can't answer; nothing is lost, and the next call goes on.
    """
    await _write_noticed(service)
    now = service.now()
    times = {"now": now, "opened_by": now - TALLY_WINDOW}
    if not await service.limits.read(lambda tx: tx.one(bool, "refusals_wait", **times)):
        return
    while await service.limits.write(lambda tx: _fold_refusals(tx, service), alone=["refusals"]):
        pass
    while waiting := await service.limits.read(
        lambda tx: tx.all(_Waiting, "outbox", limit=ENTRIES_AT_ONCE)
    ):
        entries = [Entry(**json.loads(item.entry)) for item in waiting]
        agents = {entry.agent_id for entry in entries if entry.agent_id is not None}
        added = await service.store.write(partial(_add_all, entries, service), alone=agents)
        for entry in added:
            if entry.action == Action.CREDENTIAL_REUSED:
                service.report_reuse(entry)
        await service.limits.write(partial(_forget_all, waiting))


async def _write_noticed(service: Service) -> None:
    seen, refused = service.reuses.take(), service.refused.take()
    if not seen and not refused:
        return

    def write(tx: Transaction) -> None:
        for refusal in [*(reuse_refusal(service, sighting) for sighting in seen), *refused]:
            tx.execute("add_refusal", **refusal_columns(refusal))

    try:
        await service.limits.write(write)
    except Unavailable:
        for sighting in seen:
            service.reuses.add(sighting)
        service.refused.put_back(refused)
        raise


def _fold_refusals(tx: Transaction, service: Service) -> bool:
    """Fold some refusals; whether there may be more."""
    now = service.now()
    kept = tx.all(_Kept, "refusals", limit=REFUSALS_AT_ONCE)
    tallies = tx.all(Tally, "concerned_tallies", now=now, opened_by=now - TALLY_WINDOW)
    if not kept and not tallies:
        return False
    made = tx.one(
        Counted,
        "counted_attempts",
        bucket=_TRAIL_BUCKET,
        after=now - _SECOND,
        now=now,
        quota=ENTRIES_A_SECOND,
    )
    refusals = [item.refusal for item in kept]
    folded = fold(refusals, tallies, now, ENTRIES_A_SECOND - (made.count if made else 0))
    for entry in folded.entries:
        tx.execute("add_to_outbox", id=entry.id, entry=json.dumps(entry.columns()))
        if entry.agent_id is None or "count" in entry.details:
            tx.execute("add_attempt", bucket=_TRAIL_BUCKET, now=now, expires_at=now + _SECOND)
    for tally in folded.kept:
        tx.execute("put_tally", **asdict(tally))
    for tally in folded.ended:
        tx.execute("delete_tally", action=tally.action, reason=tally.reason, bucket=tally.bucket)
    if kept:
        tx.execute("forget_refusals", seqs=json.dumps([item.seq for item in kept]))
    return len(kept) == REFUSALS_AT_ONCE


def _add_all(entries: list[Entry], service: Service, tx: Transaction) -> list[Entry]:
    """Add what waits to the trail, with what follows from it; those that were new."""
    added = [entry for entry in entries if insert_entry(tx, entry)]
    for entry in added:
        # A count tells of what an entry before it was answered for: a developer may have acted.
        if entry.action == Action.CREDENTIAL_REUSED and "count" not in entry.details:
            answer_reuse(tx, service, entry)
    return added


def _forget_all(waiting: list[_Waiting], tx: Transaction) -> None:
    for item in waiting:
        tx.execute("delete_from_outbox", seq=item.seq)
