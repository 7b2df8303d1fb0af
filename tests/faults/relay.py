"""A relay between a client and a server that sees every exchange, and can break one of them.

It knows what the server has answered even where the client never learns it: so every pair that
was ever given out is known. It breaks a rotation at one byte of its request or its answer.
"""

import contextlib
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Self

from .connection import ROTATE

PATIENCE = 30.0
DELAY = 0.4
"""More than the clients of these campaigns wait for an answer."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer ([^\r]*)", re.IGNORECASE)
_IDEMPOTENCY = re.compile(rb"\r\nidempotency-key: *([^\r]*)", re.IGNORECASE)

Kind = Literal["lose", "truncate", "delay", "duplicate"]


@dataclass(frozen=True)
class Break:
    """What befalls the next rotation, after `at` bytes of its request or of its answer.

    `lose` resets the connections, `truncate` ends them, `delay` pauses longer than the client
    waits, and `duplicate` sends the whole request again after the first connection was lost.
    """

    kind: Kind
    side: Literal["request", "answer"]
    at: int

    def __str__(self) -> str:
        return f"{self.kind} at byte {self.at} of the {self.side}"


@dataclass(frozen=True)
class Exchange:
    """A request that was passed on, and the server's answer, whether or not it was delivered."""

    request: bytes = field(repr=False)
    answer: bytes = field(repr=False)

    @property
    def is_rotation(self) -> bool:
        return self.request.startswith(f"POST {ROTATE} ".encode())

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1]) if self.answer else 0

    @property
    def key(self) -> str:
        return _header(_BEARER, self.request)

    @property
    def idempotency_key(self) -> str:
        return _header(_IDEMPOTENCY, self.request)

    @property
    def secret(self) -> str:
        return str(json.loads(self.request.partition(b"\r\n\r\n")[2])["rotationSecret"])

    @property
    def pair(self) -> tuple[str, str]:
        """The pair that the answer gives out."""
        members = json.loads(self.answer.partition(b"\r\n\r\n")[2])
        return members["apiKey"], members["rotationSecret"]


class Relay:
    """Listens on a port of its own; `exchanges` are those that the server has answered."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._next: Break | None = None
        self._busy: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.exchanges: list[Exchange] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def broke(self) -> bool:
        """Whether the break that was asked for has happened."""
        return self._next is None

    def break_next(self, fault: Break | None) -> None:
        self._next = fault

    def settle(self) -> None:
        """Wait until what was under way has been answered."""
        for thread in list(self._busy):
            thread.join(PATIENCE)

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._busy = [thread, *(it for it in self._busy if it.is_alive())]
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        # Whichever end goes away, the other sees it: nothing is kept or made up here.
        with contextlib.suppress(OSError), client, self._upstream() as server:
            client.settimeout(PATIENCE)
            with client.makefile("rb") as requests, server.makefile("rb") as answers:
                while request := read_message(requests):
                    fault = self._take(request)
                    sending, receiving = _on(fault, "request"), _on(fault, "answer")
                    if fault and fault.kind == "duplicate":
                        self._send_in_vain(fault, request)
                    if not _pass_on(server, request, sending):
                        break
                    if not (answer := read_message(answers)):
                        break
                    self.exchanges.append(Exchange(request, answer))
                    if not _pass_on(client, answer, receiving):
                        break

    def _take(self, request: bytes) -> Break | None:
        if not Exchange(request, b"").is_rotation:
            return None
        fault, self._next = self._next, None
        return fault

    def _upstream(self) -> socket.socket:
        server = socket.create_connection(("127.0.0.1", self._server_port), timeout=PATIENCE)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    def _send_in_vain(self, fault: Break, request: bytes) -> None:
        """Send what a proxy may have sent on a connection that it then lost."""
        with self._upstream() as other:
            if fault.side == "request":
                other.sendall(request[: fault.at])
            else:
                other.sendall(request)
                with other.makefile("rb") as answers:
                    answers.read(fault.at)


def read_message(stream: BinaryIO) -> bytes:
    """One HTTP/1.1 message with a length; nothing where the stream ends before the message."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    length = int(found[1]) if (found := _LENGTH.search(head)) else 0
    body = stream.read(length)
    return head + body if len(body) == length else b""


def _on(fault: Break | None, side: str) -> Break | None:
    return fault if fault and fault.side == side and fault.kind != "duplicate" else None


def _pass_on(target: socket.socket, message: bytes, fault: Break | None) -> bool:
    """Send the message as far as the fault lets it; whether the connection goes on."""
    if fault is None:
        target.sendall(message)
        return True
    target.sendall(message[: fault.at])
    if fault.kind == "delay":
        time.sleep(DELAY)
        target.sendall(message[fault.at :])
        return True
    if fault.kind == "lose":
        # To linger for no time is to reset.
        target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _header(pattern: re.Pattern[bytes], request: bytes) -> str:
    found = pattern.search(request)
    return found[1].decode() if found else ""
