"""What everybody does: a handler that asks the database for each check, over a pool.

    python -m bench.postgres.one_query_each DATA_DIR URL PORT

It is the least that answers a check as the product does: plain ASGI on uvicorn, the same keyed
hash, one prepared statement on asyncpg, and the same head of an answer.
"""

import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from uvicorn import Server

from bench.timing.contenders import PREFIX
from keyturn.cli import serve
from keyturn.core.credential import Credential, Kind
from keyturn.core.keyed_hash import Keyring
from keyturn.server_key_file import read_server_keys
from keyturn.settings import Settings

CONNECTIONS = 10
"""asyncpg's own default; more of them only wait for each other on the server's cores."""
STATEMENT = "SELECT id, name, developer_id FROM agents WHERE key_mac = $1 AND status <> 'revoked'"
NOTHING = [(b"content-length", b"0")]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class OneQueryEach:
    """The application."""

    def __init__(self, url: str, keyring: Keyring) -> None:
        self._url = url
        self._keyring = keyring
        self._pool: Any = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        agent = await self._find(dict(scope["headers"]).get(b"authorization", b""))
        headers = self._head(*agent) if agent else NOTHING
        status = 200 if agent else 401
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _find(self, authorization: bytes) -> tuple[str, str, str] | None:
        token = authorization.removeprefix(b"Bearer ").decode("latin-1")
        key = Credential.parse(token, Kind.API_KEY, PREFIX)
        if key is None:
            return None
        async with self._pool.acquire() as connection:
            found: tuple[str, str, str] | None = await connection.fetchrow(
                STATEMENT, self._keyring.mac(key).digest
            )
            return found

    def _head(self, agent_id: str, name: str, developer_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-agent-id", agent_id.encode()),
            (b"x-agent-name", name.encode()),
            (b"x-developer-id", developer_id.encode()),
            *NOTHING,
            (b"x-request-id", secrets.token_hex(16).encode()),
            (b"cache-control", b"no-store"),
        ]

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(
            self._url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_nothing
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _nothing(_connection: object) -> None:
    """Instead of the pool's own, which is a second query for every check."""


def main() -> None:
    """Serve it, with the settings that the product is served with."""
    data_dir, url, port = sys.argv[1:]
    app = OneQueryEach(url, Keyring(read_server_keys(Path(data_dir) / "server-key")))
    config = serve._config(Settings(port=int(port)))
    config.app, config.http = lambda: app, "httptools"
    serve.collect_seldom()
    Server(config).run()


if __name__ == "__main__":
    main()
