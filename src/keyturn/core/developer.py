"""What is kept of a developer, and what their email may be."""

import re
from dataclasses import dataclass
from typing import Literal

from keyturn.core.agent import clean_text
from keyturn.core.errors import InvalidRequest

EMAIL = "^[!-?A-~]{1,64}@[!-?A-~]{1,189}$"
"""An address in ASCII (RFC 5321's lengths); whether mail arrives there is not asked."""


@dataclass(frozen=True, slots=True)
class Developer:
    """A developer as they are kept; the built-in owner has no email."""

    seq: int
    id: str
    email: str | None
    operator: bool
    status: Literal["active", "disabled"]
    created_at: int


def clean_email(email: str) -> str:
    """The address in lower case.

    Raises:
        InvalidRequest: it is not one.
    """
    cleaned = clean_text(email, "email").lower()
    if not re.search(EMAIL, cleaned, re.ASCII):
        raise InvalidRequest("email", "must be an email address")
    return cleaned
