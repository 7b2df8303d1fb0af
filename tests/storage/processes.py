"""What other processes do to a store in these tests."""

import asyncio
import os
import resource
import signal
from multiprocessing.connection import Connection

from keyturn.core.agent import Agent
from keyturn.core.errors import Unavailable
from keyturn.storage.store import Transaction
from tests.storage.backends import ClosableStore, Place
from tests.storage.batches import do


def increment(place: Place, name: str, tasks: int, times: int) -> list[int]:
    """Count one counter up from several tasks at once; the values that were acknowledged."""

    async def one_task(store: ClosableStore) -> list[int]:
        return [await store.write(place.increment(name), alone=[name]) for _ in range(times)]

    async def all_tasks(store: ClosableStore) -> list[int]:
        found = await asyncio.gather(*[one_task(store) for _ in range(tasks)])
        return [value for values in found for value in values]

    with place.opened() as store:
        return asyncio.run(all_tasks(store))


def look(place: Place, name: str) -> int | None:
    """The counter as this process sees it."""
    with place.opened() as store:
        return do(store.read(place.get(name)))


def swap_secret(place: Place, agent_id: str, generation: int, secret: bytes) -> bool:
    """Change the agent's rotation secret if it is still of this generation."""

    def work(tx: Transaction) -> int:
        values = {"id": agent_id, "generation": generation, "secret_mac": secret}
        return tx.execute("replace_rotation_secret", secret_server_key="k1", **values)

    with place.opened() as store:
        return do(store.write(work)) == 1


def secret_of(tx: Transaction, agent_id: str) -> tuple[int, bytes | None]:
    """The agent's generation and rotation secret."""
    agent = tx.one(Agent, "agent_by_id", id=agent_id)
    if agent is None:
        raise LookupError(agent_id)
    return agent.generation, agent.secret_mac


def die_after_the_answer(place: Place) -> None:
    """Be killed as soon as a change has been acknowledged."""
    with place.opened() as store:
        do(store.write(place.put("acknowledged", 7)))
        os.kill(os.getpid(), signal.SIGKILL)


def die_within_a_change(place: Place) -> None:
    """Be killed when half of a change has been made."""

    def work(tx: Transaction) -> None:
        place.counters.put(tx, "first half", 7)
        os.kill(os.getpid(), signal.SIGKILL)

    with place.opened() as store:
        do(store.write(place.put("acknowledged", 7)))
        do(store.write(work))


def fill_the_disk(place: Place, results: Connection) -> None:
    """Make changes of two counters each until no file may grow, then with room again.

    Sends the numbers that were acknowledged, those that were not, and how many commits were lost.
    """
    kept: list[int] = []
    refused: list[int] = []
    lost: list[str] = []

    def both(number: int) -> None:
        def work(tx: Transaction) -> None:
            place.counters.put(tx, first_of(number), number)
            place.counters.put(tx, second_of(number), number)

        try:
            do(store.write(work))
        except Unavailable:
            refused.append(number)
        else:
            kept.append(number)

    with place.opened(lambda: lost.append("a commit")) as store:
        both(0)
        size = max(file.stat().st_size for file in place.folder.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))
        number = 1
        while not refused:
            both(number)
            number += 1
        both(number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if not lost:
            both(number + 1)
    results.send((kept, refused, len(lost)))


def scrub_a_full_disk(place: Place, results: Connection) -> None:
    """Remove and scrub where the database may not grow, then finish where it may.

    Sends the files that hold what was removed: after the first scrub, and after the second.
    """

    def holding() -> list[str]:
        files = place.folder.iterdir()
        return sorted(file.name for file in files if b"first 0 x" in file.read_bytes())

    with place.opened() as store:
        for number in range(20):
            do(store.write(place.put(first_of(number), number)))
        do(store.write(place.remove(first_of(0))))
        size = (place.folder / place.database).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        do(store.scrub())
        after_the_first = holding()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        do(store.finish_scrub())
        results.send((after_the_first, holding()))


def first_of(number: int) -> str:
    return f"first {number} " + "x" * 1000


def second_of(number: int) -> str:
    return f"second {number} " + "x" * 1000
