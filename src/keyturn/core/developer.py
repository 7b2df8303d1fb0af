"""What is kept of a developer, and what their email may be."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from keyturn.core.agent import clean_text
from keyturn.core.errors import InvalidRequest

EMAIL = "^[!-?A-~]{1,64}@[!-?A-~]{1,189}$"
"""An address in ASCII (RFC 5321's lengths); whether mail arrives there is not asked."""

MIN_PASSWORD = 12
MAX_PASSWORD = 256


@dataclass(frozen=True, slots=True)
class Developer:
    """A developer as they are kept; the built-in owner has no email."""

    seq: int
    id: str
    email: str | None
    operator: bool
    status: Literal["active", "disabled"]
    created_at: int
    password: str | None = field(default=None, repr=False)
    """An argon2id hash (RFC 9106) in PHC's form; None where none has been set."""


def clean_email(email: str) -> str:
    """The address in lower case.

    Raises:
        InvalidRequest: it is not one.
    """
    cleaned = clean_text(email, "email").lower()
    if not re.search(EMAIL, cleaned, re.ASCII):
        raise InvalidRequest("email", "must be an email address")
    return cleaned


def clean_password(password: str, email: str, member: str = "password") -> str:
    """The password as it is hashed: Unicode in one form (NIST SP 800-63B-4, section 3.1.1.2).

    What it is made of is not asked, only that it is long.

    Raises:
        InvalidRequest: it has not 12 to 256 characters, or is the email.
    """
    normal = unicodedata.normalize("NFC", password)
    if not MIN_PASSWORD <= len(normal) <= MAX_PASSWORD:
        raise InvalidRequest(member, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if normal.strip().lower() == email.strip().lower():
        raise InvalidRequest(member, "must not be the email")
    return normal
