"""The API behind the proxies: it keeps what reaches it, and answers with it."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import uvicorn


@dataclass(frozen=True)
class Seen:
    """A request as the API got it; header names are in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body_sha256: str

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for each, value in self.headers if each == name]


@dataclass
class Api:
    """The requests so far, and where to send more."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        query = scope["query_string"]
        seen = Seen(
            scope["method"],
            (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1"),
            # Read after the body: what trails it is among the headers by now.
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            sha256(body).hexdigest(),
        )
        self.seen.append(seen)
        start = {"type": "http.response.start", "status": 200, "headers": [(b"x-api", b"reached")]}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(asdict(seen)).encode()})


@contextlib.contextmanager
def running_api() -> Iterator[Api]:
    """The API on a free loopback port, in a thread."""
    api = Api()
    config = uvicorn.Config(api, port=0, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        api.port = server.servers[0].sockets[0].getsockname()[1]
        yield api
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
