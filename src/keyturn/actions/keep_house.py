"""What a running service does by itself, in every process; each step may run in several at once."""

import time
from collections.abc import Awaitable, Callable

import structlog

from keyturn.actions.record_audit import Attempt, record
from keyturn.actions.service import Call, Service
from keyturn.core.agent import DAY, UNUSED_AGENT_LIFETIME, Agent
from keyturn.core.audit_trail import SYSTEM, Action
from keyturn.core.fence import end_record
from keyturn.storage.store import Transaction

ROWS_AT_ONCE = 500
MAX_DRIFT = 60_000
"""Milliseconds that wall time may move against the monotonic clock before expiry pauses."""

_log = structlog.get_logger()


def _since_boot() -> float:
    """The monotonic clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Housekeeping:
    """Removes what has expired, but for as long as the clock can't be believed.

    What a wrong clock removes is gone, so expiry pauses while wall time has moved against this
    process's monotonic clock by more than 60 seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = _since_boot) -> None:
        self._monotonic = monotonic
        self._offset: int | None = None

    async def run(self, service: Service) -> None:
        """One round.

        Raises:
            Unavailable: a store can't answer; the next round goes on.
        """
        await _until_done(forget_old_attempts, service)
        await service.store.finish_scrub()
        if self._clock_has_moved(service):
            _log.warning("the clock has moved by more than a minute: nothing expires until restart")
            return
        if await _until_done(remove_never_used_agents, service):
            await service.store.scrub()
        await _until_done(forget_old_audit, service)
        await _until_done(forget_old_retired, service)
        await _until_done(forget_old_charges, service)
        await _until_done(forget_ended_sessions, service)

    async def expire_receipts(self, service: Service) -> None:
        """Delete sealed answers whose time is over, which for a registration comes soon.

        Raises:
            Unavailable: the store can't answer; the next round goes on.
        """
        now = service.now()
        if not self._clock_has_moved(service) and await service.store.read(
            lambda tx: bool(tx.one(int, "receipts_expire", now=now))
        ):
            await service.store.write(
                lambda tx: tx.execute("expire_receipts", now=now, limit=ROWS_AT_ONCE)
            )

    def _clock_has_moved(self, service: Service) -> bool:
        offset = service.now() - round(self._monotonic() * 1000)
        if self._offset is None:
            self._offset = offset
        return abs(offset - self._offset) > MAX_DRIFT


async def remove_never_used_agents(service: Service) -> int:
    """Remove self-registered agents never used for 30 days; how many were removed."""
    before = service.now() - UNUSED_AGENT_LIFETIME

    def remove(tx: Transaction) -> int:
        agents = tx.all(Agent, "agents_never_used", before=before, limit=ROWS_AT_ONCE)
        for agent in agents:
            tx.execute("delete_agent", id=agent.id)
            tx.fence(end_record("agent", agent.id))
            attempt = Attempt(Action.AGENT_DELETED, SYSTEM)
            attempt.names(agent)
            record(tx, service, Call.local(), attempt, reason="never_used")
        return len(agents)

    return await service.store.write(remove)


async def forget_old_attempts(service: Service) -> int:
    """Delete attempts that no window counts any more; how many were deleted."""
    return await service.limits.write(
        lambda tx: tx.execute("forget_attempts", now=service.now(), limit=ROWS_AT_ONCE)
    )


async def forget_old_audit(service: Service) -> int:
    """Delete entries past the retention that the operator has set; how many were deleted."""
    days = service.policy.audit_retention_days
    if days == 0:
        return 0
    return await service.store.write(
        lambda tx: tx.execute(
            "forget_audit_before", before=service.now() - days * DAY, limit=ROWS_AT_ONCE
        )
    )


async def forget_old_retired(service: Service) -> int:
    """Delete retired credentials that are no longer watched for; how many were deleted."""
    before = service.now() - service.policy.retired_retention_days * DAY
    return await service.store.write(
        lambda tx: tx.execute("forget_retired_before", before=before, limit=ROWS_AT_ONCE)
    )


async def forget_old_charges(service: Service) -> int:
    """Delete charges whose idempotency keys are free again; how many were deleted."""
    return await service.store.write(
        lambda tx: tx.execute("forget_charges", now=service.now(), limit=ROWS_AT_ONCE)
    )


async def forget_ended_sessions(service: Service) -> int:
    """Delete sessions and invitations whose time is over; how many were deleted."""
    now = service.now()

    def forget(tx: Transaction) -> int:
        ended = tx.all(str, "expired_tokens", now=now, limit=ROWS_AT_ONCE)
        for token_id in ended:
            tx.execute("delete_token", id=token_id)
        return len(ended)

    return await service.store.write(forget)


async def check_ready(service: Service) -> None:
    """Raises `Unavailable` where a store does not answer, or is not what was opened."""
    await service.store.check()
    await service.limits.check()


async def _until_done(step: Callable[[Service], Awaitable[int]], service: Service) -> int:
    done = 0
    while (rows := await step(service)) == ROWS_AT_ONCE:
        done += rows
    return done + rows
