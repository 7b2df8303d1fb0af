"""A visitor's side of a proxy, with the API and Keyturn behind it in view."""

import contextlib
from dataclasses import dataclass
from typing import Any

import httpx

from tests.contract.client import HTTP, Service
from tests.contract.raw import Answer, connected, exchange

from .api import Api, Seen

IDENTITY = ("x-agent-id", "x-agent-name", "x-developer-id")


@dataclass(frozen=True)
class Stage:
    """A running example between visitors and the API."""

    proxy: str
    port: int
    api: Api
    keyturn: Service

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def visited(self) -> Service:
        """The proxy, for connections by hand."""
        return Service(self.url, "", proxied=False)

    def call(
        self, key: str = "", method: str = "GET", target: str = "/", **content: Any
    ) -> tuple[httpx.Response, list[Seen]]:
        """The answer to a visitor with the key, and what reached the API meanwhile."""
        headers = {**content.pop("headers", {})}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        before = len(self.api.seen)
        answer = HTTP.request(method, self.url + target, headers=headers, **content)
        return answer, self.api.seen[before:]

    def send(self, *pieces: bytes) -> tuple[Answer | None, list[Seen]]:
        """The same for bytes, on a connection of their own."""
        before = len(self.api.seen)
        return exchange(self.visited, *pieces), self.api.seen[before:]

    def pour(self, *pieces: bytes) -> tuple[bytes, list[Seen]]:
        """All that comes until the proxy hangs up, and what reached the API meanwhile."""
        before, poured = len(self.api.seen), b""
        with connected(self.visited) as connection:
            connection.send(*pieces)
            # What is sent after the proxy has hung up can cost its answer.
            with contextlib.suppress(ConnectionResetError):
                poured = connection.rest()
        return poured, self.api.seen[before:]


def identity(seen: Seen) -> list[tuple[str, str]]:
    """What a framework would take for Keyturn's word, sorted; most read `_` as `-`."""
    named = [(name.replace("_", "-"), value) for name, value in seen.headers]
    return sorted(pair for pair in named if pair[0] in IDENTITY)
