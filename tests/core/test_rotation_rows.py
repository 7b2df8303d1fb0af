"""The decision table of a rotation, held against the contract's, which is written out here.

`tools/break_each_row.py` shows that these tests notice every row that is broken.
"""

from dataclasses import dataclass
from itertools import combinations

import pytest

from keyturn.core import rotation
from keyturn.core.errors import KeyturnError, TooManyRotationAttempts
from keyturn.core.rotation import Facts, Outcome, Row

Answer = tuple[str, str]

UNKNOWN_PAIR = ("invalid_credentials", "Invalid API key or invalid rotation secret")
NO_SECRET_SENT = ("rotation_secret_required", "rotationSecret not provided")
BAD_IDEMPOTENCY_KEY = (
    "invalid_idempotency_key",
    "Idempotency-Key must be 22 to 255 visible ASCII characters",
)
TOO_MANY = ("too_many_rotation_attempts", "Too many rotation attempts (max 3 per 15 minutes)")
REVOKED = ("agent_revoked", "Agent revoked")
NONE_CONFIGURED = ("no_rotation_secret", "No rotation secret configured")
REPLAYED = ("replay", "the same bytes as the first time")
TOO_MANY_REPLAYS = (
    "too_many_replays",
    "Too many repeats of one request: save its answer, and use the new credentials",
)
KEY_REUSED = (
    "idempotency_key_reused",
    "Idempotency-Key belongs to an earlier rotation: use a new one",
)
QUARANTINED = ("agent_quarantined", "Agent quarantined: its developer must rotate its key")


@dataclass(frozen=True)
class Case:
    """A row of the contract: its number, the facts that make it apply, and the answer."""

    number: str
    facts: dict[str, bool]
    answer: Answer


ROTATION = (
    Case("1", {"bearer_given": False}, UNKNOWN_PAIR),
    Case("2", {"secret_given": False}, NO_SECRET_SENT),
    Case("2b", {"idempotency_key_valid": False}, BAD_IDEMPOTENCY_KEY),
    Case("3", {"repeats_last_rotation": True}, REPLAYED),
    Case("3b", {"repeats_last_rotation": True, "replay_allowed": False}, TOO_MANY_REPLAYS),
    Case("4", {"attempt_allowed": False}, TOO_MANY),
    Case("5", {"key_known": False}, UNKNOWN_PAIR),
    Case("6", {"agent_revoked": True}, REVOKED),
    Case("7", {"secret_configured": False}, NONE_CONFIGURED),
    Case("8", {"secret_matches": False}, UNKNOWN_PAIR),
    Case("8b", {"agent_quarantined": True}, QUARANTINED),
    Case("8c", {"idempotency_key_used": True}, KEY_REUSED),
    Case("9", {"still_current": False}, UNKNOWN_PAIR),
)

# Section 3: "rows 0–2, 5–8". Its limit is one of its own and no row.
REVOCATION = tuple(case for case in ROTATION if case.number in {"1", "2", "5", "6", "7", "8"})
NOT_OF_REVOCATION = tuple(
    case for case in ROTATION if case.number in {"2b", "3", "3b", "4", "8b", "8c"}
)

# A repeat is either within its own limit or past it.
# Without a header no agent is named whose record could say anything. An unknown key, though, can
# be the retired one of an agent that has since been revoked, quarantined and so on.
NEVER_TOGETHER = {
    frozenset({"1", number}) for number in ("3", "3b", "5", "6", "7", "8", "8b", "8c", "9")
} | {frozenset({"3", "3b"})}


def pairs(table: tuple[Case, ...]) -> list[tuple[Case, Case]]:
    """The pairs of rows that can both apply, the earlier one first."""
    return [
        pair
        for pair in combinations(table, 2)
        if frozenset(case.number for case in pair) not in NEVER_TOGETHER
    ]


def answer(rows: tuple[Row, ...], *cases: Case) -> Answer | None:
    """What the product's table answers where all these rows apply."""
    facts = {name: value for case in cases for name, value in case.facts.items()}
    outcome = rotation.decide(rows, Facts(**facts))
    return None if outcome is None else told(outcome)


def told(outcome: Outcome) -> Answer:
    """What the caller is told."""
    if not issubclass(outcome, KeyturnError):
        return REPLAYED
    error = outcome
    made = error(3, 900) if error is TooManyRotationAttempts else error()
    return made.code, made.detail


def name(value: object) -> str:
    return f"row {value.number}" if isinstance(value, Case) else ""


def test_where_no_row_applies_the_rotation_goes_on() -> None:
    assert answer(rotation.ROTATION_ROWS) is None
    assert answer(rotation.REVOCATION_ROWS) is None


@pytest.mark.parametrize("case", ROTATION, ids=name)
def test_a_row_alone_answers_as_the_contract_says(case: Case) -> None:
    assert answer(rotation.ROTATION_ROWS, case) == case.answer


@pytest.mark.parametrize(("earlier", "later"), pairs(ROTATION), ids=name)
def test_of_two_rows_that_apply_the_earlier_answers(earlier: Case, later: Case) -> None:
    assert answer(rotation.ROTATION_ROWS, earlier, later) == earlier.answer


def test_of_any_rows_that_apply_the_first_answers() -> None:
    wrong = [
        [case.number for case in applying]
        for count in range(3, len(ROTATION) + 1)
        for applying in combinations(ROTATION, count)
        if not {"3", "3b"} <= {case.number for case in applying}
        and answer(rotation.ROTATION_ROWS, *applying) != applying[0].answer
    ]
    assert wrong == []


@pytest.mark.parametrize("case", REVOCATION, ids=name)
def test_a_row_of_an_agents_own_revocation_answers_as_for_rotation(case: Case) -> None:
    assert answer(rotation.REVOCATION_ROWS, case) == case.answer


@pytest.mark.parametrize(("earlier", "later"), pairs(REVOCATION), ids=name)
def test_of_two_rows_of_revocation_the_earlier_answers(earlier: Case, later: Case) -> None:
    assert answer(rotation.REVOCATION_ROWS, earlier, later) == earlier.answer


@pytest.mark.parametrize("case", NOT_OF_REVOCATION, ids=name)
def test_what_only_stops_a_rotation_does_not_stop_a_revocation(case: Case) -> None:
    assert answer(rotation.REVOCATION_ROWS, case) is None


def test_a_quarantined_agents_wrong_secret_is_a_wrong_secret_to_revocation_too() -> None:
    quarantined = next(case for case in ROTATION if case.number == "8b")
    wrong = next(case for case in ROTATION if case.number == "8")
    assert answer(rotation.REVOCATION_ROWS, wrong, quarantined) == UNKNOWN_PAIR
