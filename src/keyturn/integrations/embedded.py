"""`EmbeddedVerifier`: opens the installation in this process. It needs the `server` extra."""

import contextlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from keyturn.actions.service import Call, Service
from keyturn.actions.verify_key import Check, Refused, verify_keys
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential
from keyturn.core.errors import (
    AgentRevoked,
    InsufficientCredits,
    InvalidCredentials,
    Unavailable,
)
from keyturn.housekeeping import running_service
from keyturn.installation import UnusableInstallation
from keyturn.integrations.identity import AgentIdentity, Refusal
from keyturn.integrations.verifier import Verifier, log
from keyturn.settings import Settings

_REFUSALS: dict[type[Refused], Refusal] = {
    InvalidCredentials: Refusal.INVALID,
    AgentRevoked: Refusal.REVOKED,
    InsufficientCredits: Refusal.INSUFFICIENT_CREDITS,
}

_opened_by: list[int] = []
"""The process that has opened it, for each verifier that is open."""


class EmbeddedVerifier(Verifier):
    """Looks keys up in the installation of `settings` itself, for the agents of every developer.

    `keyturn serve` and other processes may use the installation at the same time. It is open
    while `lifespan` is entered, and used in that event loop only.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service: Service | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, _host: object = None) -> AsyncIterator[None]:
        """Open the installation: `FastAPI(lifespan=verifier.lifespan)`.

        Raises:
            UnusableInstallation
        """
        process = os.getpid()
        if any(opener != process for opener in _opened_by):
            # SQLite in this process believes that it has its parent's locks.
            raise UnusableInstallation(
                "This process was forked from one that has an installation open: open it after "
                "the fork."
            )
        async with running_service(self._settings) as self._service:
            _opened_by.append(process)
            try:
                yield
            finally:
                _opened_by.remove(process)
                self._service = None

    async def _ask(self, key: Credential, cost: int) -> AgentIdentity | Refusal:
        if self._service is None:
            raise RuntimeError("The verifier is not open: enter its lifespan first.")
        checks = [Check(key.reveal(), cost)]
        try:
            (found,) = await verify_keys(self._service, Call.local(), None, checks)
        except Unavailable as error:
            log.warning("The installation can't answer: %s", error)
            return Refusal.UNAVAILABLE
        return _identity(found) if isinstance(found, Agent) else _REFUSALS[type(found)]


def _identity(agent: Agent) -> AgentIdentity:
    return AgentIdentity(
        agent.id,
        agent.name,
        agent.developer_id,
        agent.generation,
        datetime.fromtimestamp(agent.key_created_at / 1000, UTC),
        datetime.fromtimestamp(agent.rotation_due_at / 1000, UTC),
        agent.credit_balance,
    )
