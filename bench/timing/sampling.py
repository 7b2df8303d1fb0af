"""Taking the samples: one kept-alive socket, one request at a time, a clock on either side."""

import gc
import time
from collections.abc import Sequence
from socket import socket

from bench.http1 import Response, UnreadableResponseError, connect, parse
from bench.timing.contenders import Contender

WARM_UP = 500


def sample(port: int, contenders: Sequence[Contender], order: Sequence[int]) -> list[list[int]]:
    """Send what the order says; for each contender, the nanoseconds that its answers took.

    Raises:
        UnreadableResponseError: an answer was not 401, so the times would compare nothing.
    """
    waiting = [iter(contender.messages) for contender in contenders]
    turns = [(turn, next(waiting[turn])) for turn in order]
    took: list[list[int]] = [[] for _ in contenders]
    with connect(port) as connection:
        connection.settimeout(None)
        for _, message in turns[:WARM_UP]:
            _timed(connection, message)
        gc.collect()
        gc.disable()
        try:
            for turn, message in turns:
                took[turn].append(_timed(connection, message))
        finally:
            gc.enable()
    return took


def _timed(connection: socket, message: bytes) -> int:
    start = time.perf_counter_ns()
    connection.sendall(message)
    received = connection.recv(65536)
    end = time.perf_counter_ns()
    while (response := parse(received)) is None:
        more = connection.recv(65536)
        end = time.perf_counter_ns()
        if not more:
            raise UnreadableResponseError("The server hung up.")
        received += more
    _check(response)
    return end - start


def _check(response: Response) -> None:
    if response.status != 401:
        raise UnreadableResponseError(f"A refusal answered {response.status}, not 401.")
