"""What every verifier has in common: it tells whose key a request has."""

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from keyturn.client.credentials import parse_credential
from keyturn.core.credential import Credential, Kind
from keyturn.core.rotation import bearer_token
from keyturn.integrations.identity import AgentIdentity, Refusal

OnUnavailable = Literal["deny", "allow"]

log = logging.getLogger("keyturn")


class Verifier(ABC):
    """Tells whose key it is, each time anew: a verdict is never kept. For one event loop."""

    _on_unavailable: OnUnavailable = "deny"

    async def verify(self, key: str, *, cost: int = 0) -> AgentIdentity | Refusal:
        """The agent whose current API key this is; `cost` credits are taken from it.

        Raises:
            ValueError: the cost is negative.
        """
        if cost < 0:
            raise ValueError("A cost is a number of credits from 0.")
        # Refused here, it can't provoke an answer that decides nothing.
        credential = parse_credential(key, Kind.API_KEY)
        return Refusal.INVALID if credential is None else await self._ask(credential, cost)

    async def admit(
        self, authorization: Sequence[str], *, cost: int = 0
    ) -> AgentIdentity | Refusal | None:
        """Who sends a request with these `Authorization` headers.

        None where Keyturn did not answer, and the verifier lets such requests pass.
        """
        key = bearer_token(authorization[0]) if len(authorization) == 1 else None
        if key is None:
            return Refusal.NO_KEY
        found = await self.verify(key, cost=cost)
        if found is Refusal.UNAVAILABLE and self._on_unavailable == "allow":
            log.warning("A request passes although its API key could not be checked.")
            return None
        return found

    @contextlib.asynccontextmanager
    async def lifespan(self, _host: object = None) -> AsyncIterator[None]:
        """While this is entered the verifier is open: `FastAPI(lifespan=verifier.lifespan)`."""
        yield

    @abstractmethod
    async def _ask(self, key: Credential, cost: int) -> AgentIdentity | Refusal: ...
