"""The refusals that come before everything else (section 2 of the contract)."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.types import Receive

from keyturn.core.credential import contains_credential
from keyturn.core.errors import InvalidRequest
from keyturn.json_body import DuplicateMember, MalformedJson, read_json
from keyturn.problems import BodyTooLarge, RequestTimeout

MAX_BODY = 8192
MAX_FORM = 98_304
"""Of a page's form: what its encoding makes of the longest text that a field takes, and more."""
BODY_SECONDS = 10.0
NO_OBJECT = b"false"
"""What the application is given instead of a body that is not a JSON object."""

Headers = Sequence[tuple[bytes, bytes]]

_SENT_ONCE = (b"authorization", b"idempotency-key", b"host")


class Disconnected(Exception):
    """The client went away before its body was complete."""


async def read_body(headers: Headers, receive: Receive, limit: int = MAX_BODY) -> bytes:
    """The whole body, of at most so many bytes.

    Raises:
        BodyTooLarge, RequestTimeout, Disconnected
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    if not all(is_small(length, limit) for length in lengths):
        raise BodyTooLarge(limit)
    body: bytes = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                body += message.get("body", b"")
                if len(body) > limit:
                    raise BodyTooLarge(limit)
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise RequestTimeout from None


def is_small(length: bytes, limit: int = MAX_BODY) -> bool:
    """Whether a Content-Length is a number of at most `limit`."""
    # Python reads no number of thousands of digits.
    digits = length.lstrip(b"0") or b"0"
    return length.isdigit() and len(digits) <= len(str(limit)) and int(digits) <= limit


def json_object(body: bytes) -> dict[str, Any] | None:
    """The members of the body, or None where it is not a JSON object.

    Raises:
        InvalidRequest: it names a member twice.
    """
    try:
        value = read_json(body)
    except DuplicateMember:
        raise InvalidRequest("body", "must not name a member twice") from None
    except MalformedJson:
        return None
    return value if isinstance(value, dict) else None


def refuse_repeated(headers: Headers) -> None:
    """Raises `InvalidRequest` where a header came twice that decides something."""
    names = [name for name, _ in headers]
    for once in _SENT_ONCE:
        if names.count(once) > 1:
            raise InvalidRequest(once.decode().title(), "must be sent once")


def check_query(query: bytes) -> None:
    """Raises `InvalidRequest` for a credential in it, or a parameter that came twice."""
    if not query:
        return
    text = query.decode("latin-1")
    names = [name for name, _ in parse_qsl(text, keep_blank_values=True)]
    if "access_token" in names or contains_credential(text + " " + unquote_plus(text)):
        raise InvalidRequest("query", "must not contain a credential: send it in Authorization")
    for name, times in Counter(names).items():
        if times > 1:
            raise InvalidRequest(name, "must be sent once")
