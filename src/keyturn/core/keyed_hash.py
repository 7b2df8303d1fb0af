"""How a credential is kept: HMAC-SHA-256 under a server key that is not in the database.

A copy of the database alone lets nobody check a guess. Each record names the server key it is
under, so that keys can be added and retired without touching the agents.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keyturn.core.credential import Credential

MINIMUM_KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_VERIFIER_MESSAGE = b"keyturn server key verifier"


class InvalidServerKey(ValueError):
    """The text of a server key can't be used; the message says why without showing it."""


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A key of the installation, with the id that records name it by."""

    id: str
    secret: bytes = field(repr=False)
    _keyed: "hmac.HMAC" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A copy of a hash that has taken its key in costs two thirds of a new one.
        object.__setattr__(self, "_keyed", hmac.new(self.secret, digestmod="sha256"))

    def digest(self, message: bytes) -> bytes:
        """HMAC-SHA-256 of the message under this key (RFC 2104)."""
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.digest()

    @property
    def verifier(self) -> bytes:
        """A value that tells this key from another of the same id, and tells nothing else."""
        return self.digest(_VERIFIER_MESSAGE)

    def encode(self) -> str:
        """The `id:base64url` form of settings and the key file."""
        return f"{self.id}:{base64.urlsafe_b64encode(self.secret).decode().rstrip('=')}"


class Mac(NamedTuple):
    """A credential as it is kept: a keyed hash, and the id of the server key it is under."""

    server_key: str
    digest: bytes


class Keyring:
    """All server keys of an installation. The first is current: new records are under it."""

    def __init__(self, keys: Sequence[ServerKey]) -> None:
        if not keys:
            raise InvalidServerKey("There is no server key.")
        if len({key.id for key in keys}) != len(keys):
            raise InvalidServerKey("Two server keys have the same id.")
        self.keys = tuple(keys)
        self.current = self.keys[0]

    def mac(self, secret: Credential | bytes) -> Mac:
        """The keyed hash of a credential, or of other bytes, under the current server key."""
        return _mac(self.current, secret)

    def candidates(self, secret: Credential | bytes) -> list[Mac]:
        """The keyed hashes under every server key, the current one first."""
        return [_mac(key, secret) for key in self.keys]

    def secret(self, server_key: str) -> bytes | None:
        """The server key of this id, to derive other keys from; None where there is none."""
        return next((key.secret for key in self.keys if key.id == server_key), None)

    def matches(self, credential: Credential, server_key: str, digest: bytes) -> bool:
        """Whether the kept keyed hash is this credential's, compared in constant time."""
        for key in self.keys:
            if key.id == server_key:
                return hmac.compare_digest(_mac(key, credential).digest, digest)
        return False

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(key.id for key in self.keys)}>"


def parse_server_keys(text: str) -> list[ServerKey]:
    """Server keys from `id:base64url`, separated by commas or lines.

    Raises:
        InvalidServerKey: an entry has another form, or its key has fewer than 32 bytes.
    """
    entries = [entry.strip() for entry in re.split(r"[,\n]", text)]
    return [_parse_server_key(entry, place) for place, entry in enumerate(entries, 1) if entry]


def _parse_server_key(entry: str, place: int) -> ServerKey:
    # Nothing of an entry is shown: where it is malformed, any part of it may be the key.
    identifier, _, encoded = entry.partition(":")
    if not encoded or not _ID.fullmatch(identifier):
        raise InvalidServerKey(f"Server key number {place} must be written id:base64url.")
    try:
        secret = base64.b64decode(
            encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        raise InvalidServerKey(f"Server key number {place} is not base64url.") from None
    if len(secret) < MINIMUM_KEY_BYTES:
        raise InvalidServerKey(
            f"Server key number {place} has {len(secret)} bytes: it needs {MINIMUM_KEY_BYTES}."
        )
    return ServerKey(identifier, secret)


def _mac(key: ServerKey, secret: Credential | bytes) -> Mac:
    message = secret if isinstance(secret, bytes) else secret.reveal().encode()
    return Mac(key.id, key.digest(message))
