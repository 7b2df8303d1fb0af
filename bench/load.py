"""The load generator: N clients in a closed loop over kept-alive connections, in one event loop.

It runs in a process of its own on a core of its own, and reports how busy that core was, so that
a figure it limited itself can be told from one the server limited.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.clients import Client
from bench.http1 import UnreadableResponseError, connect, parse
from bench.machine import cpu_seconds

DRAIN_SECONDS = 30


@dataclass
class Sample:
    """What one run of the load saw between the end of the warm-up and the end of the run."""

    seconds: float = 0.0
    latencies: list[int] = field(default_factory=list)
    """Nanoseconds from sending a request to having its whole answer, for the good ones."""
    errors: int = 0
    load_busy: float = 0.0
    server_busy: float = 0.0
    """Cores used by the server, all its processes together."""

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds


@dataclass
class _Connection:
    port: int
    client: Client
    channel: socket.socket = field(init=False)
    sent_at: int = 0
    received: bytes = b""

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.channel = connect(self.port)
        self.channel.setblocking(False)

    def send(self) -> None:
        message = self.client.next_request()
        self.received = b""
        self.sent_at = time.perf_counter_ns()
        if self.channel.send(message) != len(message):
            raise UnreadableResponseError("The server stopped reading.")

    def answered(self) -> bool | None:
        """True for a good answer, False for an error, None while there is none yet."""
        part = self.channel.recv(65536)
        if not part:
            raise UnreadableResponseError("The server hung up.")
        self.received += part
        response = parse(self.received)
        return None if response is None else self.client.received(response)


def drive(
    port: int, clients: Sequence[Client], *, warm_up: float, seconds: float, server: int = 0
) -> Sample:
    """Let the clients send for `warm_up` and then `seconds`; only the latter counts.

    `server` is the process whose use of processors is reported. Every request sent is waited for.

    Raises:
        TimeoutError: the server left requests unanswered.
    """
    run = _Run(port, clients, server)
    run.until(time.perf_counter_ns() + round(warm_up * 1e9), counting=False)
    run.begin()
    run.until(time.perf_counter_ns() + round(seconds * 1e9), counting=True)
    run.end()
    run.drain()
    return run.sample


class _Run:
    def __init__(self, port: int, clients: Sequence[Client], server: int) -> None:
        self.sample = Sample()
        self._server = server
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for client in clients:
            self._add(_Connection(port, client))

    def until(self, end: int, *, counting: bool) -> None:
        """Serve the connections until the given time."""
        latencies = self.sample.latencies
        while (now := time.perf_counter_ns()) < end:
            for handle, _ in self._poll.poll((end - now) / 1e9):
                connection = self._connections[handle]
                good = self._read(connection)
                if good is None:
                    continue
                if counting and good:
                    latencies.append(time.perf_counter_ns() - connection.sent_at)
                elif counting:
                    self.sample.errors += 1
                connection.send()

    def begin(self) -> None:
        """Start counting."""
        self._wall, self._own = time.perf_counter(), time.process_time()
        self._theirs = cpu_seconds(self._server) if self._server else 0.0

    def end(self) -> None:
        """Stop counting."""
        self.sample.seconds = time.perf_counter() - self._wall
        self.sample.load_busy = (time.process_time() - self._own) / self.sample.seconds
        if self._server:
            used = cpu_seconds(self._server) - self._theirs
            self.sample.server_busy = used / self.sample.seconds

    def drain(self) -> None:
        """Wait for the requests on their way, so that every client knows where it stands."""
        deadline = time.perf_counter() + DRAIN_SECONDS
        while self._connections:
            if time.perf_counter() > deadline:
                raise TimeoutError("The server left requests unanswered.")
            for handle, _ in self._poll.poll(1.0):
                connection = self._connections[handle]
                if self._read(connection) is not None:
                    self._close(connection)
        self._poll.close()

    def _read(self, connection: _Connection) -> bool | None:
        try:
            return connection.answered()
        except (OSError, UnreadableResponseError):
            self._close(connection)
            connection.open()
            self._register(connection)
            return False

    def _close(self, connection: _Connection) -> None:
        handle = connection.channel.fileno()
        self._poll.unregister(handle)
        self._connections.pop(handle).channel.close()

    def _add(self, connection: _Connection) -> None:
        self._register(connection)
        connection.send()

    def _register(self, connection: _Connection) -> None:
        handle = connection.channel.fileno()
        self._connections[handle] = connection
        self._poll.register(handle, select.EPOLLIN)
