"""Rotations at an even pace while checks are measured: so many a second, as far as they succeed."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from bench.clients import Rotating
from bench.http1 import connect, exchange
from bench.machine import cores

CONNECTIONS = 16


@dataclass
class Rotations:
    """When each rotation was answered (`time.perf_counter_ns`), and what that took."""

    done: list[int] = field(default_factory=list)
    errors: int = 0
    busy: float = 0.0
    """Share of the load's core."""

    def rate(self, begin: int, end: int) -> float:
        """Rotations a second between two times."""
        return sum(begin <= at < end for at in self.done) / ((end - begin) / 1e9)


@dataclass
class _Turns:
    done: list[int] = field(default_factory=list)
    errors: int = 0
    used: float = 0.0


@contextlib.contextmanager
def rotating(port: int, clients: Sequence[Rotating], rate: float) -> Iterator[Rotations]:
    """Let the clients rotate in turns, `rate` times a second altogether, on a connection each.

    One that is late sends at once, so a server that can't keep up shows in the rate alone. What
    is yielded is filled in when the block has ended.
    """
    found, stop, begin = Rotations(), Event(), time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as threads:
        turns = [
            threads.submit(_turns, port, client, begin + at / rate, len(clients) / rate, stop)
            for at, client in enumerate(clients)
        ]
        try:
            yield found
        finally:
            stop.set()
        each = [turn.result() for turn in turns]
    found.done = sorted(at for one in each for at in one.done)
    found.errors = sum(one.errors for one in each)
    found.busy = sum(one.used for one in each) / (time.perf_counter() - begin)


def _turns(port: int, client: Rotating, due: float, every: float, stop: Event) -> _Turns:
    _, core = cores()
    os.sched_setaffinity(0, {core})
    found = _Turns()
    with connect(port) as connection:
        while not stop.wait(max(0.0, due - time.perf_counter())):
            if client.received(exchange(connection, client.next_request())):
                found.done.append(time.perf_counter_ns())
            else:
                found.errors += 1
            due += every
    found.used = time.thread_time()
    return found
