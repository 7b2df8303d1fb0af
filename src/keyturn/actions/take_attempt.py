"""Takes one attempt from a sliding window, atomically over all processes."""

from dataclasses import replace

from keyturn.actions.service import Call, Service
from keyturn.core.rate_limit import Counted, Limit, Verdict, judge
from keyturn.storage.store import Transaction

TWIN_MILLISECONDS = 1000
"""How long a request that took an attempt may still be under way."""


async def take_attempt(
    service: Service, limit: Limit, bucket: str, mark: str | None = None
) -> Verdict:
    """Count this attempt where the limit allows it. One that is refused is not counted.

    With a `mark` of the request, its twins can see for a second that it is under way.

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
            tx.execute_later("add_attempt", bucket=key, now=now, expires_at=now + limit.window)
            if mark is not None:
                until = now + TWIN_MILLISECONDS
                tx.execute_later("add_attempt", bucket=mark, now=now, expires_at=until)
        return verdict

    return await service.limits.write(take, alone=[key])


async def take_own_attempt(
    service: Service, limit: Limit, call: Call, mark: str | None = None
) -> bool:
    """Count this attempt for the caller's address, and leave the verdict in the call."""
    call.verdict = await take_attempt(service, limit, call.address.bucket, mark)
    return call.verdict.allowed


async def is_under_way(service: Service, mark: str) -> bool:
    """Whether a request with this mark has taken an attempt within the last second."""
    now = service.now()
    values = {"bucket": mark, "after": now - TWIN_MILLISECONDS, "now": now, "quota": 1}
    counted = await service.limits.read(lambda tx: tx.one(Counted, "counted_attempts", **values))
    return counted is not None and counted.count > 0


async def give_attempt_back(service: Service, limit: Limit, call: Call) -> None:
    """Undo `take_own_attempt`: what the attempt was for had been done already."""
    key = f"{limit.name} {call.address.bucket}"
    await service.limits.write(
        lambda tx: tx.execute("forget_newest_attempt", bucket=key, now=service.now()), alone=[key]
    )
    if call.verdict is not None:
        call.verdict = replace(call.verdict, remaining=call.verdict.remaining + 1)
