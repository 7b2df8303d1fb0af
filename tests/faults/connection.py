"""One keep-alive HTTP connection whose sending and receiving are separate steps.

Apart, they let one thread put requests on many connections before it reads the first answer:
that is as simultaneous as a client can be.
"""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

ROTATE = "/v1/agents/self/rotate-key"
SELF = "/v1/agents/self"

BROKEN = (OSError, http.client.HTTPException)
"""What a connection raises when the server goes away in the middle of a call."""


@dataclass(frozen=True)
class Answer:
    """A response; its body is kept out of the `repr`, for it may hold credentials."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection to a server on this machine, opened at once."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._http.connect()
        # Without this it would open another connection unseen, perhaps to another worker.
        self._http.auto_open = 0
        self._kept = b""

    @property
    def local_port(self) -> int:
        """The port of our end, by which the kernel tells connections apart."""
        port: int = self._http.sock.getsockname()[1]
        return port

    def send(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        hold: bool = False,
    ) -> None:
        """Send a request; `hold` keeps back the last byte of its body until `release`."""
        content = body if isinstance(body, bytes) else b"" if body is None else _encode(body)
        self._http.putrequest(method, path)
        if token is not None:
            self._http.putheader("Authorization", f"Bearer {token}")
        for name, value in (headers or {}).items():
            self._http.putheader(name, value)
        if content or method in {"POST", "PATCH", "PUT"}:
            self._http.putheader("Content-Length", str(len(content)))
        now, self._kept = (content[:-1], content[-1:]) if hold else (content, b"")
        self._http.endheaders(now)

    def release(self) -> None:
        """Send what `hold` kept back."""
        self._http.send(self._kept)

    def receive(self) -> Answer:
        """Wait for the answer to what was sent.

        Raises:
            OSError, HTTPException: the server went away (`BROKEN`).
        """
        response = self._http.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())

    def send_pipelined(self, messages: Sequence[bytes]) -> None:
        """Send whole requests in one piece."""
        self._http.sock.sendall(b"".join(messages))

    def receive_pipelined(self, count: int) -> list[Answer]:
        """Wait for the answers to `count` pipelined requests, each with a Content-Length.

        Raises:
            OSError: the server went away.
        """
        answers: list[Answer] = []
        with self._http.sock.makefile("rb") as stream:
            while len(answers) < count:
                answers.append(_read_answer(stream))
        return answers

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and wait for its answer."""
        self.send(method, path, token=token, body=body, headers=headers)
        return self.receive()

    def rotate(self, key: str, secret: str) -> Answer:
        return self.call("POST", ROTATE, token=key, body={"rotationSecret": secret})

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_answer(stream: BinaryIO) -> Answer:
    status = stream.readline().split(b" ")
    if len(status) < 2:
        raise ConnectionResetError("The server hung up.")
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(status[1]), headers, stream.read(int(headers["content-length"])))


def _encode(body: object) -> bytes:
    return json.dumps(body).encode()
