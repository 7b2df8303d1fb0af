"""`RemoteVerifier`: asks a Keyturn server whose key it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx

from keyturn import wire
from keyturn.client.credentials import IdempotencyKey, parse_credential, parse_instant
from keyturn.client.effects import Answer, Lost, client_options, exchange_async
from keyturn.client.errors import InvalidInput
from keyturn.client.operations import server_address
from keyturn.client.protocol import code_of, json_object
from keyturn.core.credential import Credential, Kind
from keyturn.integrations.identity import AgentIdentity, Refusal
from keyturn.integrations.verifier import OnUnavailable, Verifier, log

TIMEOUT_SECONDS = 2.0
KEEP_SECONDS = 3.0
"""How long an idle connection is kept: less than the 5 seconds for which Keyturn keeps it."""

_NOT_ANSWERED = frozenset({502, 503, 504})


class RemoteVerifier(Verifier):
    """Asks the Keyturn server at `url`, with a service token, over connections that it keeps.

    A check that takes longer than `timeout` seconds, whatever of it, has not been answered. Then
    `on_unavailable` decides: "deny" answers 503, and "allow" lets the request pass without an
    identity, whoever it comes from. Keys that nobody could have issued are refused all the same,
    without a call. `allow_http` lets keys cross a network readable; loopback needs no permission.

    Raises:
        InvalidInput: the address or the service token can't be used.
        ValueError: `on_unavailable` is something else.
    """

    def __init__(
        self,
        url: str,
        service_token: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        on_unavailable: OnUnavailable = "deny",
        allow_http: bool = False,
    ) -> None:
        token = parse_credential(service_token, Kind.SERVICE_TOKEN)
        # A traceback must not show it.
        del service_token
        self._url = server_address(url, allow_http)
        if token is None:
            raise InvalidInput(
                "The service token is not one: it is incomplete, mistyped, or of another kind.",
                "Nothing was sent.",
                "Make one with `keyturn service create`.",
            )
        if on_unavailable not in ("deny", "allow"):
            raise ValueError('on_unavailable is "deny" or "allow".')
        self._token = token
        self._timeout = timeout
        self._on_unavailable = on_unavailable
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<RemoteVerifier {self._url}>"

    @contextlib.asynccontextmanager
    async def lifespan(self, _host: object = None) -> AsyncIterator[None]:
        """Close the connections in the end. A verifier whose process ends anyway needs none."""
        try:
            yield
        finally:
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def _ask(self, key: Credential, cost: int) -> AgentIdentity | Refusal:
        answer = await self._answer(self._request(key, cost))
        if isinstance(answer, Lost) or answer.status in _NOT_ANSWERED:
            why = answer.reason if isinstance(answer, Lost) else f"status {answer.status}"
            log.warning("Keyturn at %s does not answer: %s", self._url, why)
            return Refusal.UNAVAILABLE
        verdict = _verdict(json_object(answer)) if answer.status == httpx.codes.OK else None
        if verdict is None:
            log.error(
                "What answers at %s decides nothing (status %d %s): check the address and the "
                "service token.",
                self._url,
                answer.status,
                code_of(answer),
            )
            return Refusal.UNUSABLE_ANSWER
        return verdict

    async def _answer(self, request: httpx.Request) -> Answer | Lost:
        with anyio.move_on_after(self._timeout):
            answer = await exchange_async(self._client(), request)
            if isinstance(answer, Answer):
                return answer
            # The server may have closed a connection that was kept.
            return await exchange_async(self._client(), request)
        return Lost(f"no answer within {self._timeout} seconds")

    def _request(self, key: Credential, cost: int) -> httpx.Request:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        if cost:
            # It may be sent twice, and costs once.
            headers[wire.IDEMPOTENCY_KEY] = f'"{IdempotencyKey.new().reveal()}"'
        asked = {"key": key.reveal(), "cost": cost}
        return httpx.Request("POST", self._url + wire.VERIFY, headers=headers, json=asked)

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            # Connections belong to the event loop that made them.
            limits = httpx.Limits(keepalive_expiry=KEEP_SECONDS)
            options = {**client_options(), "timeout": None, "limits": limits}
            self._http, self._loop = httpx.AsyncClient(**options), loop
        return self._http


def _verdict(members: dict[str, Any]) -> AgentIdentity | Refusal | None:
    """What the server says, or None where it does not say it."""
    match members:
        case {"valid": False, "code": "invalid" | "revoked" | "insufficient_credits" as code}:
            return Refusal(code)
        case {
            "valid": True,
            "agentId": str(agent_id),
            "agentName": str(name),
            "developerId": str(developer_id),
            "generation": int(generation),
            "creditBalance": int(balance),
        }:
            created_at = parse_instant(members.get("keyCreatedAt"))
            due_at = parse_instant(members.get("rotationDueAt"))
            if created_at is not None and due_at is not None:
                return AgentIdentity(
                    agent_id, name, developer_id, generation, created_at, due_at, balance
                )
        case _:
            pass
    return None
