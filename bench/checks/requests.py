"""What is sent: whole requests, made before anything is measured, and the answers they must get."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bench.timing.contenders import new
from keyturn.core.credential import Kind

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    """The status of a good answer, and what its body holds."""

    status: int
    text: str = ""


class Check(NamedTuple):
    """A way to ask whether a key is good; `request` takes the key and a service's token."""

    name: str
    request: Callable[[str, str], bytes]
    good: Answer
    refused: Answer


def message(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A complete request."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body


def forward_auth(key: str, _token: str = "") -> bytes:
    """What a proxy asks: the visitor's own header, no body."""
    return message("GET", "/v1/forward-auth", {"Authorization": f"Bearer {key}"})


def verify(key: str, token: str) -> bytes:
    """What a service asks that has the key already."""
    return _posted("/v1/keys/verify", token, JSON, f'{{"key":"{key}"}}')


def verify_at_cost(key: str, token: str) -> bytes:
    """The same, and takes a credit."""
    return _posted("/v1/keys/verify", token, JSON, f'{{"key":"{key}","cost":1}}')


def introspect(key: str, token: str) -> bytes:
    """What an OAuth resource server asks (RFC 7662)."""
    return _posted("/v1/introspect", token, FORM, urlencode({"token": key}))


FORWARD_AUTH = Check("forward-auth", forward_auth, Answer(200), Answer(401))
VERIFY = Check("keys/verify", verify, Answer(200, '"valid":true'), Answer(200, '"valid":false'))
INTROSPECT = Check("introspect", introspect, Answer(200, '"active":true'), Answer(200, "false"))
AT_COST = Check("keys/verify, cost 1", verify_at_cost, VERIFY.good, VERIFY.refused)
CHECKS = (FORWARD_AUTH, VERIFY, INTROSPECT)


def unknown(count: int) -> list[str]:
    """Well-formed keys that nobody was given."""
    return [new(Kind.API_KEY) for _ in range(count)]


def malformed(count: int) -> list[str]:
    """Keys with one wrong character in their checksum."""
    return [key[:-1] + ("0" if key[-1] != "0" else "1") for key in unknown(count)]


def write(path: Path, messages: Iterable[bytes]) -> Path:
    """Write the requests into a new file of our own, for `check.lua`."""
    path.touch(0o600)
    path.write_bytes(b"".join(message + b"\0" for message in messages))
    return path


def _posted(path: str, token: str, content_type: str, body: str) -> bytes:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return message("POST", path, headers, body.encode("ascii"))
