"""Every refusal has a stable code and a sentence for the caller, and keeps the rest to itself."""

import re

import pytest

from keyturn.core import errors
from keyturn.core.errors import (
    InvalidEnrolmentToken,
    InvalidRequest,
    KeyturnError,
    SettingsChanged,
    TooManyRotationAttempts,
    TooManySignIns,
    Unavailable,
)

MADE: dict[type[KeyturnError], KeyturnError] = {
    InvalidRequest: InvalidRequest("name", "must have 1 to 100 characters"),
    SettingsChanged: SettingsChanged(["name"]),
    TooManyRotationAttempts: TooManyRotationAttempts(3, 900),
    TooManySignIns: TooManySignIns(60),
}
CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, KeyturnError) and each is not KeyturnError
]

# What the contract names, and the extensions of 5 and 8; those of HTTP alone are not the core's.
CODES = {
    "changed_meanwhile",
    "session_ended",
    "settings_changed",
    "set_up_already",
    "too_many_sign_ins",
    "wrong_code",
    "wrong_password",
    "invalid_request",
    "rotation_secret_required",
    "invalid_idempotency_key",
    "idempotency_key_reused",
    "too_many_replays",
    "invalid_credentials",
    "invalid_token",
    "invalid_enrolment_token",
    "agent_revoked",
    "no_rotation_secret",
    "agent_quarantined",
    "operator_only",
    "registration_closed",
    "agent_not_found",
    "developer_not_found",
    "token_not_found",
    "agent_active",
    "insufficient_credits",
    "email_taken",
    "built_in_owner",
    "too_many_rotation_attempts",
    "too_many_attempts",
    "too_many_registrations",
    "unavailable",
}


def test_the_codes_are_those_that_clients_know() -> None:
    assert {each.code for each in CLASSES} == CODES


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_sentence_of_its_own(kind: type[KeyturnError]) -> None:
    error = MADE[kind] if kind in MADE else kind()
    assert re.fullmatch(r"[A-Za-z][^\n]{8,120}[^\n.]", error.detail)


def test_the_sentence_for_malformed_input_names_the_member() -> None:
    assert InvalidRequest("limit", "must be 1 to 200").detail == "limit: must be 1 to 200"


@pytest.mark.parametrize(
    ("limit", "seconds", "told"),
    [
        (3, 900, "max 3 per 15 minutes"),
        (10, 120, "max 10 per 2 minutes"),
        (1, 60, "max 1 per 60 seconds"),
        (1, 1, "max 1 per 1 seconds"),
        (5, 150, "max 5 per 150 seconds"),
        (5, 86_400, "max 5 per 1440 minutes"),
    ],
)
def test_the_limit_and_its_window_are_told(limit: int, seconds: int, told: str) -> None:
    assert TooManyRotationAttempts(limit, seconds).detail == f"Too many rotation attempts ({told})"


def test_why_the_store_does_not_answer_is_not_told() -> None:
    error = Unavailable("disk I/O error in /var/lib/keyturn")
    assert "disk" not in error.detail
    assert "disk" in str(error)


@pytest.mark.parametrize("sent", [True, False])
def test_a_missing_enrolment_token_is_told_from_a_bad_one(sent: bool) -> None:
    assert InvalidEnrolmentToken(sent=sent).sent is sent
