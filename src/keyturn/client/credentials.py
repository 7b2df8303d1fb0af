"""What the credentials file holds, as values, and the file's JSON.

No I/O. Nothing here shows a secret: not in a `repr`, nor by raising while it holds one.
"""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx

from keyturn.core.credential import (
    CHECKSUM_LENGTH,
    MAX_PREFIX,
    PREFIX,
    RANDOM_LENGTH,
    Credential,
    Kind,
)

VERSION = 1
DEFAULT_PERIOD = timedelta(days=7)
LONGEST_PERIOD = timedelta(days=3660)


class Sealed:
    """A secret text that does not show itself."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class IdempotencyKey(Sealed):
    """The key that lets one request be repeated; whoever has it and the old pair has the new."""

    __slots__ = ()

    @classmethod
    def new(cls) -> Self:
        """192 random bits as 32 visible ASCII characters."""
        return cls(secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that may or may not have happened."""

    idempotency_key: IdempotencyKey


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that may or may not have happened, with all that its request says."""

    idempotency_key: IdempotencyKey
    name: str | None
    enrolment_token: Credential | None


@dataclass(frozen=True, slots=True)
class Holder:
    """The agent, its pair, and when the key was made and is due to be rotated."""

    agent_id: str
    agent_name: str
    api_key: Credential
    rotation_secret: Credential
    created_at: datetime
    due_at: datetime

    def successor(
        self, api_key: Credential, rotation_secret: Credential, now: datetime
    ) -> "Holder":
        """With a new pair, due after as long as the old one was."""
        period = self.due_at - self.created_at
        due_at = now + (period if timedelta(0) < period <= LONGEST_PERIOD else DEFAULT_PERIOD)
        return replace(
            self, api_key=api_key, rotation_secret=rotation_secret, created_at=now, due_at=due_at
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of a credentials file: an agent, or a registration that makes one."""

    url: str
    holder: Holder | None
    pending: Rotation | Registration | None

    def has_key_of(self, other: "Stored") -> bool:
        """Whether both have the same API key, or none."""
        mine, theirs = (
            stored.holder and stored.holder.api_key.reveal() for stored in (self, other)
        )
        return mine == theirs

    def has_key_and_dates_of(self, other: "Stored") -> bool:
        """Whether both have the same API key, made and due at the same moments, or none."""
        mine, theirs = (
            stored.holder and (stored.holder.created_at, stored.holder.due_at)
            for stored in (self, other)
        )
        return mine == theirs and self.has_key_of(other)


def parse_credential(text: object, kind: Kind) -> Credential | None:
    """The credential that `text` is, whatever its installation's prefix; else None."""
    if not isinstance(text, str):
        return None
    prefix = text[: -(len(f"_{kind}_") + RANDOM_LENGTH + CHECKSUM_LENGTH)]
    usable = len(prefix) <= MAX_PREFIX and PREFIX.fullmatch(prefix)
    return Credential.parse(text, kind, prefix) if usable else None


def parse_instant(text: object) -> datetime | None:
    """The RFC 3339 time that `text` is, else None."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def is_address(url: object) -> bool:
    """Whether `url` is an http or https address of a host, without user, query or fragment."""
    try:
        parts = httpx.URL(url) if isinstance(url, str) else None
    except httpx.InvalidURL:
        return False
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and bool(parts.host)
        and not (parts.userinfo or parts.query or parts.fragment)
    )


def encode(stored: Stored) -> bytes:
    """The file's text."""
    holder = stored.holder
    members = {
        "version": VERSION,
        "url": stored.url,
        "agentId": holder and holder.agent_id,
        "agentName": holder and holder.agent_name,
        "current": holder
        and {
            "apiKey": holder.api_key.reveal(),
            "rotationSecret": holder.rotation_secret.reveal(),
            "createdAt": instant(holder.created_at),
            "dueAt": instant(holder.due_at),
        },
        "pending": _encode_pending(stored.pending),
    }
    return json.dumps(members, indent=2).encode() + b"\n"


def decode(text: bytes) -> Stored | str:
    """What a file's text holds, or why it can't be used (as the end of a sentence)."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON: it is empty, cut or damaged"
    if not isinstance(members, dict) or members.get("version") != VERSION:
        return "is not a credentials file of this version of Keyturn"
    return _decode(members)


def _decode(members: dict[str, Any]) -> Stored | str:
    if not is_address(members.get("url")):
        return "has no address of a Keyturn server"
    holder, pending = _decode_holder(members), _decode_pending(members.get("pending"))
    if members.get("current") is not None and holder is None:
        return "has damaged credentials: they, or what belongs to them, are incomplete or altered"
    if members.get("pending") is not None and pending is None:
        return "has a damaged record of an unfinished request"
    if isinstance(pending, Registration) == (holder is not None):
        return "has no credentials" if holder is None else "has an agent that is being registered"
    return Stored(members["url"], holder, pending)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode_pending(pending: Rotation | Registration | None) -> dict[str, str | None] | None:
    if pending is None:
        return None
    idempotency_key = pending.idempotency_key.reveal()
    if isinstance(pending, Rotation):
        return {"kind": "rotation", "idempotencyKey": idempotency_key}
    token = pending.enrolment_token
    return {
        "kind": "registration",
        "idempotencyKey": idempotency_key,
        "name": pending.name,
        "enrolmentToken": None if token is None else token.reveal(),
    }


def _decode_holder(members: dict[str, Any]) -> Holder | None:
    current = members.get("current")
    if not isinstance(current, dict):
        return None
    agent_id, agent_name = members.get("agentId"), members.get("agentName")
    api_key = parse_credential(current.get("apiKey"), Kind.API_KEY)
    rotation_secret = parse_credential(current.get("rotationSecret"), Kind.ROTATION_SECRET)
    created_at, due_at = (parse_instant(current.get(name)) for name in ("createdAt", "dueAt"))
    if not isinstance(agent_id, str) or not isinstance(agent_name, str):
        return None
    if api_key is None or rotation_secret is None or created_at is None or due_at is None:
        return None
    return Holder(agent_id, agent_name, api_key, rotation_secret, created_at, due_at)


def _decode_pending(pending: Any) -> Rotation | Registration | None:
    if not isinstance(pending, dict):
        return None
    text = pending.get("idempotencyKey")
    if not isinstance(text, str) or not 22 <= len(text) <= 255 or not _is_visible_ascii(text):
        return None
    if pending.get("kind") == "rotation":
        return Rotation(IdempotencyKey(text))
    name, token_text = pending.get("name"), pending.get("enrolmentToken")
    token = parse_credential(token_text, Kind.ENROLMENT_TOKEN)
    if (token_text is not None and token is None) or not isinstance(name, str | None):
        return None
    known = pending.get("kind") == "registration"
    return Registration(IdempotencyKey(text), name, token) if known else None


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text) and not set(text) & {'"', "\\"}
