"""One of many processes that share a credentials file: `python -m tests.client.sharing …`.

It sends requests until a moment that all know, through a `KeyturnAuth` of its own, and prints the
statuses that reached it.
"""

import asyncio
import json
import logging
import sys
import time
from collections import Counter

import httpx

from keyturn.client import KeyturnAuth


def blocking(path: str, url: str, until: float) -> Counter[int]:
    seen: Counter[int] = Counter()
    with httpx.Client(auth=KeyturnAuth(path), timeout=60) as client:
        while time.time() < until:
            seen[client.get(url).status_code] += 1
    return seen


async def not_blocking(path: str, url: str, until: float) -> Counter[int]:
    seen: Counter[int] = Counter()
    async with httpx.AsyncClient(auth=KeyturnAuth(path), timeout=60) as client:

        async def go_on() -> None:
            while time.time() < until:
                seen[(await client.get(url)).status_code] += 1

        await asyncio.gather(go_on(), go_on())
    return seen


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    kind, path, url, until = sys.argv[1:]
    if kind == "async":
        statuses = asyncio.run(not_blocking(path, url, float(until)))
    else:
        statuses = blocking(path, url, float(until))
    print(json.dumps(statuses))
