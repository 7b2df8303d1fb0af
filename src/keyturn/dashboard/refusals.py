"""Why a form was refused, and which of its fields that is about."""

from dataclasses import dataclass

from keyturn.core import errors
from keyturn.core.errors import InvalidRequest, KeyturnError, SettingsChanged
from keyturn.problems import NoneChosen, PasswordNeeded

_CALLED = {
    "action": "Action",
    "agent": "Agent",
    "amount": "Amount",
    "by": "By",
    "days": "Days",
    "email": "Email",
    "form": "This form",
    "last": "Time",
    "max_uses": "Agents",
    "metadata": "Metadata",
    "name": "Name",
    "new": "New password",
    "on_reuse": "What follows",
    "outcome": "Outcome",
    "password": "Password",
    "q": "Text",
    "reason": "Reason",
    "rotation_period_days": "Days",
    "since": "From",
    "until": "To",
}
"""The fields of all forms, as a sentence about one begins."""
_SETTINGS = {
    "name": "the name",
    "metadata": "the metadata",
    "onReuse": "what follows when a stolen pair comes back",
    "rotationPeriodDays": "the days between rotations",
}
"""As they are called within a sentence."""
_HIDDEN = ("form", "last")
_ABOUT: dict[type[KeyturnError], str] = {
    errors.EmailTaken: "email",
    errors.InsufficientCredits: "amount",
    errors.WrongCode: "code",
    errors.WrongOwnPassword: "password",
    errors.WrongPassword: "password",
    NoneChosen: "agent",
    PasswordNeeded: "password",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence for people; `field` is empty where it is about the whole form."""

    text: str
    field: str = ""


def refusal(error: KeyturnError) -> Refusal:
    """What is said of a form that was refused for this."""
    if isinstance(error, SettingsChanged):
        return Refusal(SettingsChanged([_SETTINGS[name] for name in error.args]).detail)
    if not isinstance(error, InvalidRequest):
        return Refusal(error.detail, _ABOUT.get(type(error), ""))
    field = str(error.args[0])
    if field not in _CALLED:
        return Refusal(error.detail)
    return Refusal(f"{_CALLED[field]} {error.why}", "" if field in _HIDDEN else field)
