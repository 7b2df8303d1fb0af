"""A proxy that breaks an exchange of HTTP at any byte, as a network may.

It takes each request whole before it sends any of it on, and each answer too; so what passes is
exact to the byte. A message is taken to end where its Content-Length says.
"""

import contextlib
import random
import re
import socket
import struct
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import sleep
from typing import Literal, Self

LOOPBACK = "127.0.0.1"
CONNECTIONS = 64
"""How many clients it serves at a time."""
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Direction = Literal["request", "answer"]


@dataclass(frozen=True)
class Fault:
    """What befalls one exchange, when `at_byte` bytes of its request or answer have passed.

    `lose` resets both connections; `truncate` closes them as if that were all; `delay` pauses.
    `duplicate` sends the request a second time over a connection of its own, `at_byte` bytes of
    it before the first answer is waited for: with none, one comes after the other.
    """

    kind: Literal["lose", "truncate", "delay", "duplicate"]
    direction: Direction = "answer"
    at_byte: int = 0
    milliseconds: int = 50
    """How long a delay lasts."""
    returned: Literal["first", "second"] = "first"
    """Which answer the client gets to a request that was duplicated."""
    only: bytes = b""
    """How the request begins that it is for; it waits for one."""


@dataclass
class Exchange:
    """A request and its answer, as far as they came. All is counted just before it passes."""

    fault: Fault | None
    request: bytes = field(repr=False)
    answer: bytes = field(default=b"", repr=False)
    """What the server gave for it, whatever of that reaches the client."""
    request_bytes: int = 0
    answer_bytes: int = 0
    requests_delivered: int = 0
    """Sent whole. A server may not see one whose connection is reset right after it."""
    answers_delivered: int = 0

    def pass_on(self, to: socket.socket, part: bytes, direction: Direction) -> None:
        """Count a part of a message, and send it."""
        if direction == "request":
            self.request_bytes += len(part)
            self.requests_delivered = self.request_bytes // len(self.request)
        else:
            self.answer_bytes += len(part)
            self.answers_delivered = self.answer_bytes // len(self.answer)
        to.sendall(part)


class Proxy:
    """Stands before servers of this machine while it is entered, on a port of its own.

    Each request goes to any of them. Each exchange takes the first fault that is planned, or
    passes unharmed where there is none.
    """

    def __init__(self, *server_ports: int) -> None:
        self.exchanges: list[Exchange] = []
        self._server_ports = server_ports
        self._planned: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._closing = False
        self._threads = ThreadPoolExecutor(CONNECTIONS + 1, "proxy")
        self._work: list[Future[None]] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"

    def plan(self, *faults: Fault) -> None:
        """Let these befall exchanges to come, one each, in this order."""
        with self._lock:
            self._planned.extend(faults)

    def __enter__(self) -> Self:
        self._work.append(self._threads.submit(self._accept))
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closing = True
            for waited_for in (self._listener, *self._clients):
                with contextlib.suppress(OSError):
                    waited_for.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown()
        self._listener.close()
        for work in self._work:
            work.result()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closing:
                client, _ = self._listener.accept()
                self._work.append(self._threads.submit(self._serve, client))

    def _serve(self, client: socket.socket) -> None:
        with client:
            with self._lock:
                if self._closing:
                    return
                self._clients.add(client)
            try:
                self._exchange_messages(client)
            except _Cut:
                pass
            except OSError:
                # The server is not there, or has gone: so is the proxy.
                _reset_on_close(client)
            finally:
                with self._lock:
                    self._clients.remove(client)

    def _exchange_messages(self, client: socket.socket) -> None:
        requests = _Messages(client)
        while request := requests.next():
            exchange = Exchange(self._take_fault(request), request)
            self.exchanges.append(exchange)
            # A connection for each exchange: one that is kept could be closed by the server.
            with self._connect() as server:
                try:
                    exchange.answer = self._ask(server, request, exchange)
                    _send(client, exchange.answer, exchange, "answer")
                except _Cut as cut:
                    if cut.reset:
                        _reset_on_close(server)
                        _reset_on_close(client)
                    raise

    def _ask(self, server: socket.socket, request: bytes, exchange: Exchange) -> bytes:
        fault = exchange.fault
        if fault is None or fault.kind != "duplicate":
            _send(server, request, exchange, "request")
            return _answer(server)
        with self._connect() as second:
            exchange.pass_on(server, request, "request")
            exchange.pass_on(second, request[: fault.at_byte], "request")
            first_answer = _answer(server)
            exchange.pass_on(second, request[fault.at_byte :], "request")
            second_answer = _answer(second)
        return first_answer if fault.returned == "first" else second_answer

    def _connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, random.choice(self._server_ports)))

    def _take_fault(self, request: bytes) -> Fault | None:
        with self._lock:
            if self._planned and request.startswith(self._planned[0].only):
                return self._planned.popleft()
        return None


class _Cut(Exception):
    """The fault ends the connections."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class _Messages:
    """Reads whole messages from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def next(self) -> bytes:
        """The next message; nothing where the connection ends before the message does."""
        while (length := _length(self._read)) is None or len(self._read) < length:
            more = self._connection.recv(65536)
            if not more:
                return b""
            self._read += more
        message, self._read = self._read[:length], self._read[length:]
        return message


def _length(message: bytes) -> int | None:
    head, end, _ = message.partition(b"\r\n\r\n")
    if not end:
        return None
    declared = _CONTENT_LENGTH.search(head)
    return len(head) + len(end) + (int(declared[1]) if declared else 0)


def _answer(server: socket.socket) -> bytes:
    answer = _Messages(server).next()
    if not answer:
        raise ConnectionResetError("The server gave no whole answer.")
    return answer


def _send(to: socket.socket, message: bytes, exchange: Exchange, direction: Direction) -> None:
    """Send a message, as far as the fault lets it."""
    fault = exchange.fault
    if fault is None or fault.kind == "duplicate" or fault.direction != direction:
        exchange.pass_on(to, message, direction)
        return
    exchange.pass_on(to, message[: fault.at_byte], direction)
    if fault.kind != "delay":
        raise _Cut(reset=fault.kind == "lose")
    sleep(fault.milliseconds / 1000)
    exchange.pass_on(to, message[fault.at_byte :], direction)


def _reset_on_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
