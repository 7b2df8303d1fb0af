"""The members of requests."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from keyturn.api.wire_model import API_KEY_EXAMPLE, SECRET_EXAMPLE, WHOLE, Moment, Wire
from keyturn.core.agent import MAX_CHANGE, MAX_ROTATION_PERIOD_DAYS, MAX_TEXT, OnReuse
from keyturn.core.developer import EMAIL

# What the core refuses in names, as a pattern for those who read the OpenAPI.
_VISIBLE = r"[^\s\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2060-\u206f\u061c\ufeff]"
_SHOWABLE = r"[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\u061c]"
_NAME = f"^{_SHOWABLE}*{_VISIBLE}{_SHOWABLE}*$"
Name = Annotated[
    str,
    Field(
        description="1 to 100 characters after trimming; no control or bidirectional characters.",
        json_schema_extra={"minLength": 1, "maxLength": 100, "pattern": _NAME},
        examples=["my-research-agent"],
    ),
]

Reason = Annotated[
    str, Field(json_schema_extra={"maxLength": MAX_TEXT, "pattern": f"^{_SHOWABLE}*$"})
]


class NoMembers(Wire):
    """A body that may be left out, and of which nothing is read."""


class RotationRequest(Wire):
    rotation_secret: Annotated[str, Field(min_length=1, examples=[SECRET_EXAMPLE], repr=False)]


class RegistrationRequest(Wire):
    name: Name | None = None
    enrolment_token: Annotated[str | None, Field(examples=["sk_live_en_…"], repr=False)] = None


class AgentRequest(Wire):
    name: Name | None = None
    rotation_secret: Annotated[bool, Field(description="Whether to configure one.")] = True


def _without_defaults(schema: dict[str, Any]) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)


class AgentPatch(Wire):
    """What is not sent stays as it is, so the defaults here are never read."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: Name = ""
    metadata: Annotated[
        dict[str, Any], Field(default_factory=dict, examples=[{"team": "research"}])
    ]
    on_reuse: OnReuse = "alert"
    rotation_period_days: Annotated[int, Field(ge=1, le=MAX_ROTATION_PERIOD_DAYS), WHOLE] = 7


class RevocationRequest(Wire):
    reason: Reason = ""


class CreditsRequest(Wire):
    amount: Annotated[int, Field(ge=-MAX_CHANGE, le=MAX_CHANGE, examples=[50]), WHOLE]
    reason: Reason = ""


class VerificationRequest(Wire):
    key: Annotated[str, Field(examples=[API_KEY_EXAMPLE], repr=False)]
    cost: Annotated[int, Field(ge=0, description="Credits that it takes."), WHOLE] = 0


class VerificationBatchRequest(Wire):
    keys: Annotated[list[VerificationRequest], Field(max_length=100)]


class DeveloperRequest(Wire):
    email: Annotated[str, Field(examples=["ada@example.com"], json_schema_extra={"pattern": EMAIL})]
    operator: bool = False


class DeveloperTokenRequest(Wire):
    name: Name = "developer token"
    developer_id: Annotated[
        str | None, Field(description="Whose; only operators may name another's.")
    ] = None


class ServiceTokenRequest(Wire):
    name: Name = "service token"


class EnrolmentTokenRequest(Wire):
    name: Name = "enrolment token"
    max_uses: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] = 1
    expires_at: Annotated[
        Moment | None, Field(strict=False, description="In 7 days by default.")
    ] = None
