"""HTTP by hand, for requests that a decent client refuses to send."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from .client import Service, ipv6


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Connection:
    """One TCP connection to the service."""

    def __init__(self, service: Service) -> None:
        address = urlsplit(service.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        self._stream: BinaryIO = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        """Send the bytes as they are, even if the service has hung up by now."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self.socket.sendall(piece)

    def answer(self) -> Answer | None:
        """The next answer, or None where the service hung up without one."""
        with contextlib.suppress(ConnectionResetError):
            line = self._stream.readline()
            if line:
                return self._rest_of_answer(int(line.split()[1]))
        return None

    def rest(self) -> bytes:
        """Everything that comes until the service hangs up."""
        return self._stream.read()

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.socket.close()

    def _rest_of_answer(self, status: int) -> Answer:
        headers = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join(self._chunks()))
        body = self._stream.read(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._stream.readline(), 16):
            yield self._stream.read(size)
            self._stream.readline()
        self._stream.readline()


@contextlib.contextmanager
def connected(service: Service) -> Iterator[Connection]:
    """A connection that is closed afterwards."""
    connection = Connection(service)
    try:
        yield connection
    finally:
        connection.close()


def exchange(service: Service, *pieces: bytes) -> Answer | None:
    """The answer to the bytes, sent on a connection of their own."""
    with connected(service) as connection:
        connection.send(*pieces)
        return connection.answer()


def head(method: str, path: str, *lines: bytes | str, address: str = "") -> bytes:
    """A request line and headers, from an address of its own, and the empty line after them."""
    first = [f"{method} {path} HTTP/1.1", "Host: keyturn", f"X-Forwarded-For: {address or ipv6()}"]
    encoded = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*(line.encode("latin-1") for line in first), *encoded, b"", b""])


def request(method: str, path: str, *lines: bytes | str, body: bytes = b"") -> bytes:
    """A whole request with a correct Content-Length."""
    return head(method, path, f"Content-Length: {len(body)}", *lines) + body


def chunked(*chunks: bytes) -> bytes:
    """The chunks, encoded, without the last one that ends a body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


END_OF_CHUNKS = b"0\r\n\r\n"
