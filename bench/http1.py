"""As much of an HTTP/1.1 client as a load generator needs: whole requests out, answers back.

A general client costs several times what the server under test does; this one costs a few
microseconds. It knows keep-alive connections and answers with a Content-Length, nothing else.
"""

import socket
from typing import NamedTuple


class Response(NamedTuple):
    """A complete answer."""

    status: int
    body: bytes


class UnreadableResponseError(Exception):
    """The server answered with something this client does not know, or hung up."""


def request(method: str, path: str, *, key: str = "", body: bytes = b"", extra: str = "") -> bytes:
    """A complete request; `extra` is further header lines, each with its line end."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}{extra}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def parse(received: bytes) -> Response | None:
    """The answer in `received`, or None while it is not complete.

    Raises:
        UnreadableResponseError: there is no Content-Length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = received.lower().find(b"\r\ncontent-length:", 0, end)
    if at < 0:
        raise UnreadableResponseError("An answer without Content-Length.")
    length = int(received[at + 17 : received.find(b"\r\n", at + 2)])
    if len(received) < end + 4 + length:
        return None
    return Response(int(received[9:12]), received[end + 4 : end + 4 + length])


def connect(port: int) -> socket.socket:
    """A connection to the local server that sends small requests at once."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(connection: socket.socket, message: bytes) -> Response:
    """Send one request and wait for its answer.

    Raises:
        UnreadableResponseError: the server hung up, or answered what this client can't read.
    """
    connection.sendall(message)
    received = connection.recv(65536)
    while (response := parse(received)) is None:
        more = connection.recv(65536)
        if not more:
            raise UnreadableResponseError("The server hung up.")
        received += more
    return response
