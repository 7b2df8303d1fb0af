"""The two kinds of program that use the client: one that blocks, and one that does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from keyturn.client import Agent, AsyncAgent, KeyturnAuth, Status
from keyturn.testing import Server


@dataclass(frozen=True)
class Program:
    """`asynchronous` or not; each method is one call of the client."""

    asynchronous: bool

    def agent(
        self, path: Path, action: str, *arguments: Any, patience: float = 60, **options: Any
    ) -> Status:
        kind = AsyncAgent if self.asynchronous else Agent
        made = kind(path, patience=patience)
        result = getattr(made, action)(*arguments, **options)
        status: Status = asyncio.run(result) if self.asynchronous else result
        return status

    def request(
        self, auth: KeyturnAuth, method: str, url: str, *, follow: bool = False, **content: Any
    ) -> httpx.Response:
        if not self.asynchronous:
            with httpx.Client(auth=auth, follow_redirects=follow) as client:
                return client.request(method, url, **content)

        async def request() -> httpx.Response:
            async with httpx.AsyncClient(auth=auth, follow_redirects=follow) as client:
                return await client.request(method, url, **content)

        return asyncio.run(request())

    def stream(self, text: bytes) -> Iterator[bytes] | AsyncIterator[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            yield text

        return chunks() if self.asynchronous else iter([text])


def whoami(server: Server | str) -> str:
    url = server if isinstance(server, str) else server.url
    return f"{url}/v1/agents/self"


def content_of(path: Path) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(path.read_text())
    return members


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a credentials file as a person would, in place."""
    members = content_of(path)
    edit(members)
    path.write_text(json.dumps(members))


def make_due(path: Path) -> None:
    """Let the key of a credentials file be older than its period."""
    now = datetime.now(UTC)
    dates = {
        "createdAt": (now - timedelta(days=8)).isoformat(),
        "dueAt": (now - timedelta(days=1)).isoformat(),
    }
    change(path, lambda members: members["current"].update(dates))


def rotate_elsewhere(server: Server | str, path: Path) -> dict[str, str]:
    """Rotate as another process would that has no file, and return the answer."""
    url = server if isinstance(server, str) else server.url
    current = content_of(path)["current"]
    answer = httpx.post(
        f"{url}/v1/agents/self/rotate-key",
        headers={"Authorization": f"Bearer {current['apiKey']}"},
        json={"rotationSecret": current["rotationSecret"]},
    )
    answer.raise_for_status()
    made: dict[str, str] = answer.json()
    return made
