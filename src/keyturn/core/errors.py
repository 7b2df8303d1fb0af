"""One class for each thing that a caller can act on.

An error carries what the other side should be told: a stable `code` and a public sentence,
`detail`. What is private goes into the exception's arguments, which are logged and never sent.
How an error becomes an HTTP status is not known here.
"""

from typing import ClassVar


class KeyturnError(Exception):
    """A refusal with a stable code and a sentence that is safe to show to the caller."""

    code: ClassVar[str]
    detail: str


class InvalidRequest(KeyturnError):
    """A member, parameter or header is malformed; `detail` names it."""

    code = "invalid_request"

    def __init__(self, member: str, why: str) -> None:
        super().__init__(member)
        self.why = why
        self.detail = f"{member}: {why}"


class RotationSecretRequired(KeyturnError):
    code = "rotation_secret_required"
    detail = "rotationSecret not provided"


class InvalidIdempotencyKey(KeyturnError):
    code = "invalid_idempotency_key"
    detail = "Idempotency-Key must be 22 to 255 visible ASCII characters"


class IdempotencyKeyReused(KeyturnError):
    """The idempotency key of an earlier rotation came with the current pair."""

    code = "idempotency_key_reused"
    detail = "Idempotency-Key belongs to an earlier rotation: use a new one"


class ChargeRepeated(KeyturnError):
    """The idempotency key of another check came again: another agent or cost."""

    code = "idempotency_key_reused"
    detail = "Idempotency-Key belongs to another check: use a new one"


class InvalidCredentials(KeyturnError):
    """The API key or the rotation secret is wrong; which one is not told."""

    code = "invalid_credentials"
    detail = "Invalid API key or invalid rotation secret"


class InvalidToken(KeyturnError):
    code = "invalid_token"
    detail = "Missing or invalid token"


class InvalidEnrolmentToken(KeyturnError):
    """`sent` is whether there was a token at all."""

    code = "invalid_enrolment_token"
    detail = "Missing, used up, expired or invalid enrolment token"

    def __init__(self, *, sent: bool = True) -> None:
        super().__init__()
        self.sent = sent


class AgentRevoked(KeyturnError):
    """The agent itself asks, and is revoked."""

    code = "agent_revoked"
    detail = "Agent revoked"


class AgentIsRevoked(KeyturnError):
    """A developer asks for something that a revoked agent can't have; reinstate it first."""

    code = "agent_revoked"
    detail = "Agent revoked: reinstate it to give it new credentials"


class AgentActive(KeyturnError):
    code = "agent_active"
    detail = "Agent is not revoked: rotate its key instead"


class ChangedMeanwhile(KeyturnError):
    """What a developer decides upon is not what they were shown."""

    code = "changed_meanwhile"
    detail = (
        "The agent's credentials have changed since this page was loaded, so nothing was done: "
        "look, then decide again"
    )


class SettingsChanged(KeyturnError):
    """Somebody else has changed the same settings since they were loaded."""

    code = "settings_changed"

    def __init__(self, changed: list[str]) -> None:
        super().__init__(*changed)
        self.detail = (
            "Somebody else has changed the same meanwhile, so nothing was saved, and this is shown "
            f"as it is now: {', '.join(changed)}"
        )


class NoRotationSecret(KeyturnError):
    code = "no_rotation_secret"
    detail = "No rotation secret configured"


class AgentQuarantined(KeyturnError):
    code = "agent_quarantined"
    detail = "Agent quarantined: its developer must rotate its key"


class WrongPassword(KeyturnError):
    """Also where there is no such developer, or one without a password: that is not told."""

    code = "wrong_password"
    detail = "Wrong email or password"


class WrongOwnPassword(WrongPassword):
    """Of somebody who has signed in, and is asked for the password alone."""

    detail = "Wrong password"


class WrongCode(KeyturnError):
    """Also where it was right once: used, run out, or replaced by a newer one."""

    code = "wrong_code"
    detail = "This code is wrong, used, or has run out"


class SetUpAlready(KeyturnError):
    code = "set_up_already"
    detail = "This installation has an operator already"


class SessionEnded(KeyturnError):
    code = "session_ended"
    detail = "Your session has ended: sign in again"


class TooManySignIns(KeyturnError):
    code = "too_many_sign_ins"

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        minutes = -(-seconds // 60)
        span = "a minute" if minutes == 1 else f"{minutes} minutes"
        self.detail = f"Too many wrong passwords or codes: try again in {span}"


class OperatorOnly(KeyturnError):
    code = "operator_only"
    detail = "Only an operator can do this"


class RegistrationClosed(KeyturnError):
    code = "registration_closed"
    detail = "Registration is closed: ask a developer of this service to create the agent"


class AgentNotFound(KeyturnError):
    code = "agent_not_found"
    detail = "No such agent"


class DeveloperNotFound(KeyturnError):
    code = "developer_not_found"
    detail = "No such developer"


class TokenNotFound(KeyturnError):
    code = "token_not_found"
    detail = "No such token"


class EmailTaken(KeyturnError):
    code = "email_taken"
    detail = "A developer with this email exists already"


class BuiltInOwner(KeyturnError):
    code = "built_in_owner"
    detail = "The built-in owner of self-registered agents can't be disabled"


class InsufficientCredits(KeyturnError):
    code = "insufficient_credits"
    detail = "The balance would fall below 0"


class TooManyRotationAttempts(KeyturnError):
    code = "too_many_rotation_attempts"

    def __init__(self, limit: int, window_seconds: int) -> None:
        super().__init__(limit, window_seconds)
        span = (
            f"{window_seconds // 60} minutes"
            if window_seconds >= 120 and window_seconds % 60 == 0
            else f"{window_seconds} seconds"
        )
        self.detail = f"Too many rotation attempts (max {limit} per {span})"


class TooManyAttempts(KeyturnError):
    code = "too_many_attempts"
    detail = "Too many attempts from this address"


class TooManyReplays(KeyturnError):
    code = "too_many_replays"
    detail = "Too many repeats of one request: save its answer, and use the new credentials"


class TooManyRegistrations(KeyturnError):
    code = "too_many_registrations"
    detail = "Too many registrations: try again later"


class Unavailable(KeyturnError):
    """The store does not answer, or nobody knows whether it kept the change. Ask again."""

    code = "unavailable"
    detail = "The service can't answer right now: try again"
