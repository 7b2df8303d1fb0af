"""Takes one attempt from a sliding window, atomically over all processes."""

from dataclasses import replace

from keyturn.actions.service import Call, Service
from keyturn.core.rate_limit import Counted, Limit, Verdict, judge
from keyturn.storage.store import Transaction


async def take_attempt(service: Service, limit: Limit, bucket: str) -> Verdict:
    """Count this attempt where the limit allows it. One that is refused is not counted.

    Raises:
        Unavailable: the attempt can't be counted, so it must not pass.
    """
    key = f"{limit.name} {bucket}"

    def take(tx: Transaction) -> Verdict:
        # Read within the transaction: what another process has counted must not lie in the future.
        now = service.now()
        counted = tx.one(
            Counted,
            "counted_attempts",
            bucket=key,
            after=now - limit.window,
            now=now,
            quota=limit.quota,
        )
        verdict = judge(limit, counted or Counted(0, None), now)
        if verdict.allowed:
            tx.execute("add_attempt", bucket=key, now=now, expires_at=now + limit.window)
        return verdict

    return await service.limits.write(take)


async def take_own_attempt(service: Service, limit: Limit, call: Call) -> bool:
    """Count this attempt for the caller's address, and leave the verdict in the call."""
    call.verdict = await take_attempt(service, limit, call.address.bucket)
    return call.verdict.allowed


async def give_attempt_back(service: Service, limit: Limit, call: Call) -> None:
    """Undo `take_own_attempt`: what the attempt was for had been done already."""
    key = f"{limit.name} {call.address.bucket}"
    await service.limits.write(
        lambda tx: tx.execute("forget_newest_attempt", bucket=key, now=service.now())
    )
    if call.verdict is not None:
        call.verdict = replace(call.verdict, remaining=call.verdict.remaining + 1)
