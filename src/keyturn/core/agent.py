"""What is kept of an agent, and what its members may be."""

import json
import unicodedata
from typing import Any, Literal, NamedTuple

from keyturn.core.credential import contains_credential
from keyturn.core.errors import InvalidRequest

AgentStatus = Literal["active", "quarantined", "revoked"]
OnReuse = Literal["alert", "quarantine", "revoke"]

STARTER_CREDITS = 100
MAX_CREDITS = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""
MAX_CHANGE = 10**12
"""The most credits that one call adds or takes."""
MAX_NAME = 100
MAX_TEXT = 500
MAX_METADATA = 4096
DEFAULT_ROTATION_PERIOD_DAYS = 7
MAX_ROTATION_PERIOD_DAYS = 365
DAY = 86_400_000
"""A day in milliseconds."""
UNUSED_AGENT_LIFETIME = 30 * DAY
BUILT_IN_OWNER = "00000000-0000-4000-8000-000000000001"
"""The developer that self-registered agents belong to; the first migration makes it."""

# Bidirectional controls let a name be shown as another one (CVE-2021-42574).
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_INVISIBLE = frozenset({"Cf", "Zs"})


class Agent(NamedTuple):
    """An agent as it is kept. Times are milliseconds since 1970 UTC.

    A named tuple, because every check makes one: it costs a third of a frozen dataclass.
    """

    seq: int
    id: str
    developer_id: str
    name: str
    status: AgentStatus
    generation: int
    key_mac: bytes
    key_server_key: str
    key_last4: str
    secret_mac: bytes | None
    secret_server_key: str | None
    key_created_at: int
    rotation_period_days: int
    on_reuse: OnReuse
    metadata: str
    credit_balance: int
    self_registered: bool
    created_at: int
    last_used_at: int | None
    last_used_address: str | None

    @property
    def rotation_due_at(self) -> int:
        return self.key_created_at + self.rotation_period_days * DAY

    @property
    def key_was_used(self) -> bool:
        """Whether a use of the current API key is on record."""
        return self.last_used_at is not None and self.last_used_at > self.key_created_at

    @property
    def revoked(self) -> bool:
        return self.status == "revoked"


def clean_name(name: str, member: str = "name") -> str:
    """The name without surrounding white space.

    Raises:
        InvalidRequest: it is not 1 to 100 characters, is not showable, or holds a credential.
    """
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= MAX_NAME:
        raise InvalidRequest(member, f"must have 1 to {MAX_NAME} characters")
    cleaned = _clean(trimmed, member)
    if {unicodedata.category(character) for character in cleaned} <= _INVISIBLE:
        raise InvalidRequest(member, "must contain something visible")
    return cleaned


def clean_text(text: str, member: str) -> str:
    """A developer's free text without surrounding white space, at most 500 characters.

    Raises:
        InvalidRequest: it is longer, is not showable, or holds a credential.
    """
    trimmed = text.strip()
    if len(trimmed) > MAX_TEXT:
        raise InvalidRequest(member, f"must have at most {MAX_TEXT} characters")
    return _clean(trimmed, member)


def clean_metadata(metadata: dict[str, Any]) -> str:
    """The metadata as the JSON text that is kept.

    Raises:
        InvalidRequest: it is over 4096 bytes, or holds a credential.
    """
    text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_METADATA:
        raise InvalidRequest("metadata", f"must be at most {MAX_METADATA} bytes of JSON")
    _refuse_credential(text, "metadata")
    return text


def _clean(text: str, member: str) -> str:
    categories = {unicodedata.category(character) for character in text}
    if categories & _UNPRINTABLE or _BIDI & set(text):
        raise InvalidRequest(member, "must not contain control or bidirectional characters")
    _refuse_credential(text, member)
    return text


def _refuse_credential(text: str, member: str) -> None:
    if contains_credential(text):
        raise InvalidRequest(member, "must not contain a credential")
