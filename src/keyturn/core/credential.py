"""The credential format: what one looks like, how it is made, recognised and shown.

`<prefix>_<kind>_` + 43 random base62 characters + 6 base62 characters of CRC-32 of everything
before them. The random part is 256 bits; the checksum lets a typing error be refused without
reading the store, and secret scanners match with few false alarms.
"""

import re
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import NoReturn, Self

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 43
CHECKSUM_LENGTH = 6

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]

# 248 is the largest multiple of 62 in a byte: taking the rest as well would favour the first
# eight characters.
_BASE62 = bytes(ord(ALPHABET[byte % 62]) for byte in range(256))
_UNFAIR = bytes(range(248, 256))

RandomBytes = Callable[[int], bytes]
"""Gives that many bytes from a cryptographically secure source."""

PREFIX = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
"""What an installation may choose as its credentials' first part."""
MAX_PREFIX = 32

# Anchored on the kind, so that the search is linear in hostile input.
_SHAPE = re.compile(r"_(?:ak|rs|dt|sv|en|ss|iv)_[0-9A-Za-z]{43,}", re.ASCII)


class Kind(StrEnum):
    """What a credential is for; the two letters are in its text."""

    API_KEY = "ak"
    ROTATION_SECRET = "rs"
    DEVELOPER_TOKEN = "dt"
    SERVICE_TOKEN = "sv"
    ENROLMENT_TOKEN = "en"
    SESSION = "ss"
    INVITATION = "iv"


class Credential:
    """A well-formed credential. It shows itself only masked; `reveal()` gives its text."""

    __slots__ = ("__text", "kind")

    def __init__(self, kind: Kind, text: str) -> None:
        self.kind = kind
        self.__text = text

    @classmethod
    def generate(cls, kind: Kind, prefix: str, random_bytes: RandomBytes) -> Self:
        """Make a new credential of 256 random bits."""
        body = f"{prefix}_{kind}_{_random_base62(RANDOM_LENGTH, random_bytes)}"
        return cls(kind, body + checksum(body))

    @classmethod
    def parse(cls, text: str, kind: Kind, prefix: str) -> Self | None:
        """The credential that `text` is, or None for another kind, prefix, length or checksum."""
        start = f"{prefix}_{kind}_"
        if len(text) != len(start) + RANDOM_LENGTH + CHECKSUM_LENGTH or not text.startswith(start):
            return None
        body, check = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
        if not text.isascii() or not text[len(start) :].isalnum() or checksum(body) != check:
            return None
        return cls(kind, text)

    @property
    def masked(self) -> str:
        """Kind and last 4 characters: what people may see."""
        return mask(self.__text[: -RANDOM_LENGTH - CHECKSUM_LENGTH], self.last4)

    @property
    def last4(self) -> str:
        return self.__text[-4:]

    def reveal(self) -> str:
        """The credential itself: for the answer that shows it once, and for keyed hashing."""
        return self.__text

    def __repr__(self) -> str:
        return f"<Credential {self.masked}>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("A credential can't be pickled: it must not leave this process.")


def mask(start: str, last4: str) -> str:
    """A credential's public face, for example `sk_live_ak_…x7Qz`."""
    return f"{start}…{last4}"


def checksum(body: str) -> str:
    """CRC-32 (ISO 3309) of `body` in base62, padded with `0` to 6 characters."""
    upper, lower = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    return _PAIRS[upper // len(_PAIRS)] + _PAIRS[upper % len(_PAIRS)] + _PAIRS[lower]


def contains_credential(text: str) -> bool:
    """Whether anything of a credential's shape, of any prefix, stands in `text`."""
    return _SHAPE.search(text) is not None


def redact(text: str) -> str:
    """`text` with everything of a credential's shape masked, for logs and the trail."""
    return _SHAPE.sub(lambda found: f"{found[0][:4]}…{found[0][-4:]}", text)


def _random_base62(length: int, random_bytes: RandomBytes) -> str:
    characters = b""
    while len(characters) < length:
        characters += random_bytes(length).translate(_BASE62, _UNFAIR)
    return characters[:length].decode()
