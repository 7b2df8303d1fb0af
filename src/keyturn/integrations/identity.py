"""Who calls, or why the call is refused, and how a refusal is answered. No I/O."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus

RETRY_SECONDS = 1
REALM = 'Bearer realm="keyturn"'


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """The agent whose current API key a request has; instants are in UTC.

    `credit_balance` is what is left after the cost of the request.
    """

    agent_id: str
    agent_name: str
    developer_id: str
    generation: int
    key_created_at: datetime
    rotation_due_at: datetime
    credit_balance: int


class Refusal(Enum):
    """Why a request does not pass."""

    NO_KEY = "no_key"
    """There is not exactly one usable `Authorization: Bearer` header."""
    INVALID = "invalid"
    """The key is unknown, retired or malformed."""
    REVOKED = "revoked"
    """The agent is revoked."""
    INSUFFICIENT_CREDITS = "insufficient_credits"
    """The agent can't pay the cost."""
    UNAVAILABLE = "unavailable"
    """Keyturn did not answer in time."""
    UNUSABLE_ANSWER = "unusable_answer"
    """What answered decides nothing: a wrong address or service token, or not Keyturn."""


@dataclass(frozen=True, slots=True)
class Denial:
    """The answer to a request that is refused."""

    status: int
    headers: dict[str, str]
    body: bytes


_UNDECIDED = 503, "unavailable", "API keys can't be checked right now: try again"
_ANSWERS = {
    Refusal.NO_KEY: (401, "invalid_credentials", "Missing API key"),
    Refusal.INVALID: (401, "invalid_credentials", "Invalid API key"),
    Refusal.REVOKED: (403, "agent_revoked", "Agent revoked"),
    Refusal.INSUFFICIENT_CREDITS: (403, "insufficient_credits", "Not enough credits"),
    Refusal.UNAVAILABLE: _UNDECIDED,
    Refusal.UNUSABLE_ANSWER: _UNDECIDED,
}


def denial(refusal: Refusal) -> Denial:
    """The answer: a problem (RFC 9457), and for 401 the challenge (RFC 6750, section 3)."""
    status, code, detail = _ANSWERS[refusal]
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "error": detail,
    }
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    if refusal is Refusal.NO_KEY:
        headers["WWW-Authenticate"] = REALM
    elif refusal is Refusal.INVALID:
        headers["WWW-Authenticate"] = f'{REALM}, error="invalid_token"'
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Denial(status, headers, json.dumps(problem).encode())
