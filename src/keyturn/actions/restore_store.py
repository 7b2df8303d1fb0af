"""A copy of the store becomes the store again."""

from keyturn.actions.record_audit import Attempt, record
from keyturn.actions.service import Call, Service
from keyturn.core.audit_trail import COMMAND_LINE, Action


async def record_restored(service: Service) -> None:
    """Let the trail say from when on it goes on after another state."""
    attempt = Attempt(Action.STORE_RESTORED, COMMAND_LINE)
    await service.store.write(lambda tx: record(tx, service, Call.local(), attempt))
