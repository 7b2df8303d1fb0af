"""Requests and replies as plain values, for what is answered without the framework."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from urllib.parse import unquote_plus

from keyturn.api.first_refusals import Headers
from keyturn.core.rotation import bearer_token
from keyturn.problems import Problem

AUTHORIZATION = b"authorization"

_JSON = (b"content-type", b"application/json")
_BASIC = "basic "


@dataclass(slots=True)
class Request:
    """As much of a request as a check looks at; `named` has each header once."""

    method: str
    query: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    named: dict[bytes, bytes] = field(repr=False)
    client: tuple[str, int] | None
    body: bytes = field(default=b"", repr=False)

    def header(self, name: bytes) -> str | None:
        """A header's value as text."""
        value = self.named.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def repeats(self) -> bool:
        """Whether any header came more than once."""
        return len(self.named) != len(self.headers)

    @property
    def bearer_token(self) -> str | None:
        """The token of a Bearer header (RFC 6750)."""
        return bearer_token(self.header(AUTHORIZATION))

    @property
    def client_secret(self) -> str | None:
        """The token of a Bearer header, or the password of HTTP Basic (RFC 7617)."""
        header = self.header(AUTHORIZATION)
        if header is None or not header.lower().startswith(_BASIC):
            return bearer_token(header)
        try:
            pair = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        # OAuth clients encode both parts (RFC 6749, section 2.3.1).
        return unquote_plus(pair.partition(":")[2])


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Reply {self.status}>"

    def head(self, before: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Its headers after those, as they are written in HTTP/1.1."""
        return b"".join([b"%b: %b\r\n" % pair for pair in (*before, *self.headers)]) + b"\r\n"

    @classmethod
    def json(cls, body: bytes) -> Self:
        """An answer of 200 in JSON."""
        return cls(200, [_JSON, (b"content-length", b"%d" % len(body))], body)

    @classmethod
    def refusal(cls, refused: Problem) -> Self:
        """An answer that is an error."""
        pairs = {**refused.headers, "content-length": str(len(refused.body))}.items()
        headers = [(name.encode(), value.encode()) for name, value in pairs]
        return cls(refused.status, headers, refused.body)
