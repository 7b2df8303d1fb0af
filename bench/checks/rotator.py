"""Rotations at an even pace while checks are measured: so many a second, as far as they succeed."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.clients import Rotating
from bench.http1 import connect, exchange

CONNECTIONS = 16


@dataclass(frozen=True)
class Rotations:
    """When each rotation was answered (`time.perf_counter_ns`), and what that took."""

    done: list[int]
    errors: int
    busy: float
    clients: list[Rotating] = field(repr=False)
    """With the pairs that they hold now."""

    def rate(self, begin: int, end: int) -> float:
        """Rotations a second between two times."""
        return sum(begin <= at < end for at in self.done) / ((end - begin) / 1e9)


def rotate(port: int, clients: list[Rotating], rate: float, seconds: float) -> Rotations:
    """Let the clients rotate in turns, `rate` times a second altogether, on a connection each.

    One that is late sends at once, so a server that can't keep up shows in the rate alone.
    """
    used, begin = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as threads:
        turns = [
            threads.submit(
                _turns, port, client, begin + at / rate, len(clients) / rate, begin + seconds
            )
            for at, client in enumerate(clients)
        ]
        results = [turn.result() for turn in turns]
    return Rotations(
        done=sorted(at for done, _ in results for at in done),
        errors=sum(errors for _, errors in results),
        busy=(time.process_time() - used) / (time.perf_counter() - begin),
        clients=clients,
    )


def _turns(
    port: int, client: Rotating, begin: float, every: float, end: float
) -> tuple[list[int], int]:
    done, errors, due = [], 0, begin
    with connect(port) as connection:
        while due < end and (now := time.perf_counter()) < end:
            if now < due:
                time.sleep(due - now)
            if client.received(exchange(connection, client.next_request())):
                done.append(time.perf_counter_ns())
            else:
                errors += 1
            due += every
    return done, errors
