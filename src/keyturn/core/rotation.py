"""Whether an agent may rotate its own credentials: the decision table of the contract.

The rows stand in the order in which they are decided; the first that applies is the answer.
`REVOCATION_ROWS` are those that an agent's own revocation shares.

A fact that is not known yet has its harmless value, so the same table is asked again whenever
more is known: first of the request alone, then with the limit, then with the agent's record,
and once more inside the transaction that rotates.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from keyturn.core.errors import (
    AgentQuarantined,
    AgentRevoked,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidIdempotencyKey,
    KeyturnError,
    NoRotationSecret,
    RotationSecretRequired,
    TooManyReplays,
    TooManyRotationAttempts,
)

DOCUMENTED_IDEMPOTENCY_KEYS = frozenset({"7c1f3c2e-95d4-4d0b-8a51-3f1d2b6e4a90"})
"""Those that stand in our documentation: whoever copied one would share it with others."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.ASCII | re.IGNORECASE)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{22,255}", re.ASCII)
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"', re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one request to rotate."""

    bearer_given: bool = True
    secret_given: bool = True
    idempotency_key_valid: bool = True
    repeats_last_rotation: bool = False
    replay_allowed: bool = True
    attempt_allowed: bool = True
    key_known: bool = True
    agent_revoked: bool = False
    secret_configured: bool = True
    secret_matches: bool = True
    agent_quarantined: bool = False
    idempotency_key_used: bool = False
    still_current: bool = True


class Replay:
    """The answer of row 3: the same bytes as the first time."""


Outcome = type[KeyturnError] | type[Replay]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: its number in the contract, when it applies, and the answer."""

    number: str
    applies: Callable[[Facts], bool]
    outcome: Outcome


ROTATION_ROWS = (
    Row("1", lambda facts: not facts.bearer_given, InvalidCredentials),
    Row("2", lambda facts: not facts.secret_given, RotationSecretRequired),
    Row("2b", lambda facts: not facts.idempotency_key_valid, InvalidIdempotencyKey),
    Row("3", lambda facts: facts.repeats_last_rotation and facts.replay_allowed, Replay),
    Row("3b", lambda facts: facts.repeats_last_rotation, TooManyReplays),
    Row("4", lambda facts: not facts.attempt_allowed, TooManyRotationAttempts),
    Row("5", lambda facts: not facts.key_known, InvalidCredentials),
    Row("6", lambda facts: facts.agent_revoked, AgentRevoked),
    Row("7", lambda facts: not facts.secret_configured, NoRotationSecret),
    Row("8", lambda facts: not facts.secret_matches, InvalidCredentials),
    Row("8b", lambda facts: facts.agent_quarantined, AgentQuarantined),
    Row("8c", lambda facts: facts.idempotency_key_used, IdempotencyKeyReused),
    Row("9", lambda facts: not facts.still_current, InvalidCredentials),
)

REVOCATION_ROWS = tuple(
    row for row in ROTATION_ROWS if row.number in {"1", "2", "5", "6", "7", "8", "9"}
)


def decide(rows: tuple[Row, ...], facts: Facts) -> Outcome | None:
    """The first row's answer that applies, or None when nothing stands against a rotation."""
    # Every row is asked, so that the time doesn't tell which one was the first.
    outcomes = [row.outcome for row in rows if row.applies(facts)]
    return outcomes[0] if outcomes else None


def bearer_token(authorization: str | None) -> str | None:
    """The token of a usable `Authorization: Bearer` header (RFC 6750, section 2.1), or None."""
    found = _BEARER.fullmatch(authorization or "")
    return found[1] if found else None


def idempotency_key(header: str) -> str | None:
    """The key of an `Idempotency-Key` header, or None where it is not 22–255 visible ASCII.

    A structured-field string (RFC 9651, section 3.3.3) and bare text are both accepted. A key
    that stands in our documentation is none.
    """
    quoted = _QUOTED.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    usable = _IDEMPOTENCY_KEY.fullmatch(key) and key not in DOCUMENTED_IDEMPOTENCY_KEYS
    return key if usable else None
