"""The server of a whole run, and the calls that the machine makes to it."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import httpx

from keyturn.testing import Server, running_server

MANY = 1_000_000_000
FIRST_ADDRESS = IPv4Address("10.0.0.0")


class World:
    """One server, an operator, and a developer to whom none of the agents belongs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.requests = 0
        # A connection for each request, so that every worker takes part.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=server.url, limits=limits, timeout=30)
        self.operator = server.create_developer("op@example.com", operator=True).token
        self.stranger = server.create_developer("stranger@example.com").token

    def call(
        self, method: str, path: str, token: str | None = None, body: object = None
    ) -> httpx.Response:
        """One request, each from an address of its own: some limits can't be set."""
        self.requests += 1
        address = str(FIRST_ADDRESS + self.requests)
        headers = {"X-Forwarded-For": address}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._http.request(method, path, headers=headers, json=body)

    def trail(self, agent_id: str) -> Iterator[dict[str, Any]]:
        """Every entry of the audit trail about the agent."""
        cursor = ""
        while True:
            path = f"/v1/audit?agentId={agent_id}&limit=200{cursor}"
            page = self.call("GET", path, self.operator).json()
            yield from page["items"]
            if page["nextCursor"] is None:
                return
            cursor = f"&cursor={page['nextCursor']}"

    def interrupt(self, *, kill: bool, new_key: bool) -> None:
        """Stop or crash the server and start it again, perhaps with one more server key."""
        if kill:
            self._server.kill()
        else:
            self._server.stop()
        if new_key:
            known = self._server.settings["server_key"]
            self._server.settings["server_key"] = f"{_server_key()},{known}"
        self._server.start()


@contextmanager
def new_world(workers: int) -> Iterator[World]:
    """A world whose server runs until the block ends, and has no limit that matters."""
    limits = dict.fromkeys(("rotation_limit", "registration_limit", "registration_total"), MANY)
    settings: dict[str, Any] = {
        "server_key": _server_key(),
        "trusted_proxies": "127.0.0.1/32",
        **limits,
    }
    with running_server(workers=workers, **settings) as server:
        yield World(server)


def _server_key() -> str:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return f"k{secrets.token_hex(4)}:{key}"
