"""One of many processes that share a credentials file: `python -m tests.client.sharing …`.

It sends requests through a `KeyturnAuth` of its own until the file `stop` appears, and then once
more. It prints `ready` after the first, and in the end how often each status has reached it.
"""

import asyncio
import json
import logging
import sys
from collections import Counter
from pathlib import Path

import httpx

from keyturn.client import KeyturnAuth

REQUEST_SECONDS = 120


def blocking(path: Path, url: str, stop: Path) -> Counter[int]:
    seen: Counter[int] = Counter()
    with httpx.Client(auth=KeyturnAuth(path), timeout=REQUEST_SECONDS) as client:
        last = False
        while not last:
            last = stop.exists()
            seen[client.get(url).status_code] += 1
            ready(seen)
    return seen


async def not_blocking(path: Path, url: str, stop: Path) -> Counter[int]:
    seen: Counter[int] = Counter()
    async with httpx.AsyncClient(auth=KeyturnAuth(path), timeout=REQUEST_SECONDS) as client:

        async def go_on() -> None:
            last = False
            while not last:
                last = stop.exists()  # noqa: ASYNC240 (a microsecond)
                seen[(await client.get(url)).status_code] += 1
                ready(seen)

        await asyncio.gather(go_on(), go_on())
    return seen


def ready(seen: Counter[int]) -> None:
    if seen.total() == 1:
        print("ready", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    kind, path, url, stop = sys.argv[1:]
    if kind == "async":
        statuses = asyncio.run(not_blocking(Path(path), url, Path(stop)))
    else:
        statuses = blocking(Path(path), url, Path(stop))
    print(json.dumps(statuses))
