"""Errors as HTTP answers (RFC 9457). The only file that knows both errors and statuses."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Response

from keyturn.core import errors
from keyturn.core.errors import KeyturnError

REALM = 'Bearer realm="keyturn"'
RETRY_SECONDS = 1


class NotFound(KeyturnError):
    code = "not_found"
    detail = "No such page"


class MethodNotAllowed(KeyturnError):
    code = "method_not_allowed"
    detail = "This method is not allowed here: see Allow"


class BodyTooLarge(KeyturnError):
    code = "body_too_large"

    def __init__(self, limit: int = 8192) -> None:
        super().__init__(limit)
        self.detail = f"The body is larger than {limit // 1024} KiB"


class RequestTimeout(KeyturnError):
    code = "request_timeout"
    detail = "The body did not arrive in time"


class Internal(KeyturnError):
    code = "internal"
    detail = "Internal error"


class Forged(KeyturnError):
    """A change that no page of this session has asked for."""

    code = "forged"
    detail = (
        "This form does not come from a page of your session, so nothing was changed. "
        "Load the page again and repeat it."
    )


class OutcomeUnknown(KeyturnError):
    """What a form asked for may have been done, and its answer is lost."""

    code = "outcome_unknown"
    detail = (
        "The service can't say whether this was done. It may have been: look in the audit trail "
        "before you do it again. New credentials that you have not seen are lost: make others."
    )


class SentAlready(KeyturnError):
    """A form came twice that acts once."""

    code = "sent_already"
    detail = (
        "This form was sent before, and was not done twice. Look at what came of it: to do it "
        "again, send the form below."
    )


class ForeignOrigin(KeyturnError):
    """A form of a page that is elsewhere, or an installation that is told a wrong public URL."""

    code = "foreign_origin"

    def __init__(self, origin: str, public_url: str) -> None:
        super().__init__(origin)
        self.detail = (
            f"This form comes from {origin}, and KEYTURN_PUBLIC_URL says that Keyturn is at "
            f"{public_url}, so nothing was changed. If {origin} is where you opened Keyturn, "
            "whoever runs it must set KEYTURN_PUBLIC_URL to that."
        )


class NoneChosen(KeyturnError):
    """Something is to be done to what was chosen, and nothing was."""

    code = "none_chosen"
    detail = "Choose at least one agent: nothing was done"


class PlaceLost(KeyturnError):
    """The address says where in a list to go on, and there is no such place."""

    code = "place_lost"
    detail = "This part of the list can't be found: go on from the newest entries"


class PasswordNeeded(KeyturnError):
    """The password was given too long ago for what is asked."""

    code = "password_needed"
    detail = "Type your password to go on"


STATUS: dict[type[KeyturnError], int] = {
    errors.InvalidRequest: 400,
    errors.RotationSecretRequired: 400,
    errors.InvalidIdempotencyKey: 400,
    errors.InvalidCredentials: 401,
    errors.InvalidToken: 401,
    errors.InvalidEnrolmentToken: 401,
    errors.AgentRevoked: 403,
    errors.NoRotationSecret: 403,
    errors.AgentQuarantined: 403,
    errors.OperatorOnly: 403,
    errors.RegistrationClosed: 403,
    NotFound: 404,
    errors.AgentNotFound: 404,
    errors.DeveloperNotFound: 404,
    errors.TokenNotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    errors.AgentIsRevoked: 409,
    errors.AgentActive: 409,
    errors.EmailTaken: 409,
    errors.BuiltInOwner: 409,
    errors.InsufficientCredits: 409,
    BodyTooLarge: 413,
    errors.IdempotencyKeyReused: 422,
    errors.ChargeRepeated: 422,
    errors.TooManyReplays: 429,
    errors.TooManyRotationAttempts: 429,
    errors.TooManyAttempts: 429,
    errors.TooManyRegistrations: 429,
    Internal: 500,
    errors.Unavailable: 503,
}

FOR_PEOPLE: dict[type[KeyturnError], int] = {
    NoneChosen: 400,
    PlaceLost: 400,
    errors.SessionEnded: 401,
    errors.WrongCode: 403,
    errors.WrongOwnPassword: 403,
    errors.WrongPassword: 403,
    ForeignOrigin: 403,
    Forged: 403,
    PasswordNeeded: 403,
    errors.SetUpAlready: 409,
    errors.ChangedMeanwhile: 409,
    errors.SettingsChanged: 409,
    SentAlready: 409,
    errors.TooManySignIns: 429,
    OutcomeUnknown: 503,
}
"""What only pages refuse, and no program is told."""


def status_of(error: KeyturnError) -> int:
    """The HTTP status that says it."""
    kind = type(error)
    return STATUS[kind] if kind in STATUS else FOR_PEOPLE[kind]


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is an error: status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers)


def problem(
    error: KeyturnError,
    request_id: str,
    *,
    token_sent: bool = False,
    headers: dict[str, str] | None = None,
) -> Problem:
    """The answer for an error; `token_sent` is whether the caller tried to authenticate."""
    status = status_of(error)
    if isinstance(error, errors.InvalidEnrolmentToken):
        token_sent = error.sent
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "error": error.detail,
        "requestId": request_id,
    }
    sent = {"content-type": "application/problem+json", **(headers or {})}
    if status == HTTPStatus.UNAUTHORIZED:
        sent["www-authenticate"] = f'{REALM}, error="invalid_token"' if token_sent else REALM
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent["retry-after"] = str(RETRY_SECONDS)
    return Problem(status, sent, json.dumps(content, ensure_ascii=False).encode())


def documented(refusals: Iterable[type[KeyturnError]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that can refuse in these ways."""
    responses: dict[int | str, dict[str, Any]] = {}
    for refusal in refusals:
        status = STATUS[refusal]
        response = responses.setdefault(
            status,
            {
                "description": HTTPStatus(status).phrase,
                "content": {
                    "application/problem+json": {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "examples": {},
                    }
                },
            },
        )
        example = json.loads(problem(_sample(refusal), "0" * 32).body)
        response["content"]["application/problem+json"]["examples"][refusal.code] = {
            "value": example
        }
    return responses


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "error", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, for a person."},
        "code": {
            "type": "string",
            "description": "What is wrong, for a program. Stable.",
            "enum": sorted({error.code for error in STATUS}),
        },
        "error": {"type": "string", "description": "The same sentence as detail."},
        "requestId": {"type": "string", "description": "The same as X-Request-Id."},
    },
}


def _sample(refusal: type[KeyturnError]) -> KeyturnError:
    if refusal is errors.InvalidRequest:
        return errors.InvalidRequest("name", "must have 1 to 100 characters")
    if refusal is errors.TooManyRotationAttempts:
        return errors.TooManyRotationAttempts(3, 900)
    return refusal()
