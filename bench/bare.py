"""What the web stack costs without Keyturn: the same server, an answer and nothing behind it.

    python -m bench.bare asgi|fastapi|checks PORT

The first two answer any POST with as many bytes as a rotation's answer has, the third anything
with the headers of a good forward-auth answer.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from uvicorn import Server

from keyturn.cli import serve
from keyturn.settings import Settings

Message = dict[str, Any]
ANSWER = {
    "message": "API key and rotation secret rotated successfully. "
    "Save both — they will not be shown again.",
    "apiKey": "sk_live_ak_" + "0" * 49,
    "rotationSecret": "sk_live_rs_" + "0" * 49,
    "agentId": "00000000-0000-4000-8000-000000000000",
    "agentName": "my-research-agent",
}
"""As long as the answer to a rotation."""
ENCODED = json.dumps(ANSWER, ensure_ascii=False, separators=(",", ":")).encode()
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(ENCODED)).encode()),
]
CHECKED = [
    (b"x-agent-id", b"00000000-0000-4000-8000-000000000000"),
    (b"x-agent-name", b"agent-500000"),
    (b"x-developer-id", b"00000000-0000-4000-8000-000000000001"),
    (b"content-length", b"0"),
    (b"x-request-id", b"0" * 32),
    (b"cache-control", b"no-store"),
]
"""As long as the headers of a check's answer."""


class Rotation(BaseModel):
    """The body of a rotation."""

    rotationSecret: str  # noqa: N815 - the wire's name


async def asgi(
    _scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Read the body, answer; no framework."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ENCODED})


async def checks(
    scope: Message,
    _receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Find the visitor's header, answer; nothing is looked up."""
    if not any(name == b"authorization" for name, _ in scope["headers"]):
        raise ValueError("The load sends every request with a key.")
    await send({"type": "http.response.start", "status": 200, "headers": CHECKED})
    await send({"type": "http.response.body", "body": b""})


fastapi = FastAPI(openapi_url=None)


@fastapi.post("/{path:path}")
async def answer(_body: Rotation) -> dict[str, str]:
    """Validate a small body, answer a dictionary."""
    return ANSWER


def main() -> None:
    """Serve one of them on a port, with the settings that the product is served with.

    The checks are on uvicorn's own protocol, as the product is that they are compared with.
    """
    name, port = sys.argv[1:]
    app: Any = {"asgi": asgi, "fastapi": fastapi, "checks": checks}[name]
    config = serve._config(Settings(port=int(port)))
    if name == "checks":
        config.http = "httptools"
    config.app, config.lifespan = lambda: app, "off"
    serve.collect_seldom()
    Server(config).run()


if __name__ == "__main__":
    main()
