"""What an agent does for itself: register, rotate, look, revoke."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response

from keyturn.actions.register_agent import Application, register_agent
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import Presented
from keyturn.api.answers import AgentState, NewAgent, OwnAgent, Rotated
from keyturn.api.context import ByAgent, On, for_agents, public
from keyturn.api.requests import RegistrationRequest, RotationRequest
from keyturn.core.errors import (
    AgentQuarantined,
    IdempotencyKeyReused,
    InvalidEnrolmentToken,
    InvalidIdempotencyKey,
    NoRotationSecret,
    RegistrationClosed,
    RotationSecretRequired,
    TooManyAttempts,
    TooManyRegistrations,
    TooManyReplays,
    TooManyRotationAttempts,
)
from keyturn.wire import (
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_REPLAYED,
    REGISTER,
    REVOKE_SELF,
    ROTATE_SELF,
    SELF,
)

router = APIRouter(tags=["Agents themselves"])

Authorization = Annotated[str | None, Header(include_in_schema=False)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        json_schema_extra={"minLength": 22, "maxLength": 255, "pattern": "^[!#-~][!-~]+$"},
        # No example: everybody could have it, so it would have to be refused.
        description="22 to 255 visible ASCII characters that nobody else has; a new UUID will do.",
    ),
]
# Any value is taken here, because the decision table says what each refusal is.
Secret = Annotated[Any, Body()]
_SECRET_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationRequest"}}},
}


def _both_credentials(*refusals: Any) -> dict[str, Any]:
    described = for_agents(RotationSecretRequired, NoRotationSecret, *refusals)
    return {
        **described,
        "openapi_extra": {**described["openapi_extra"], "requestBody": _SECRET_BODY},
    }


@router.post(
    ROTATE_SELF,
    summary="Rotate your own API key and rotation secret",
    response_model=Rotated,
    **_both_credentials(
        InvalidIdempotencyKey,
        TooManyReplays,
        TooManyRotationAttempts,
        AgentQuarantined,
        IdempotencyKeyReused,
    ),
)
async def rotate_self(idempotency_key: IdempotencyKey = None) -> None:
    """Both current credentials die, and both new ones are in the answer: save them first.

    With an `Idempotency-Key` the same request can be repeated until its answer has arrived: until
    the new API key is first used, it gets the same answer again.
    """
    # Answered by `rotation`.


@router.post(
    REVOKE_SELF,
    summary="Revoke yourself",
    **_both_credentials(TooManyAttempts),
)
async def revoke_own(
    on: On, authorization: Authorization = None, body: Secret = None
) -> AgentState:
    """For an agent that knows it was stolen from. Only a developer can reinstate it."""
    presented = Presented(authorization, secret_of(body))
    return AgentState(agent_id=await revoke_self(on.service, on.call, presented))


@router.get(SELF, summary="Look at yourself", **for_agents())
async def show_self(agent: ByAgent) -> OwnAgent:
    """What the service knows of the agent whose API key this is."""
    return OwnAgent.of(agent)


@router.post(
    REGISTER,
    status_code=201,
    summary="Register an agent",
    **public(
        InvalidIdempotencyKey,
        InvalidEnrolmentToken,
        RegistrationClosed,
        TooManyReplays,
        TooManyRegistrations,
    ),
)
async def register(
    on: On,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    body: RegistrationRequest | None = None,
) -> NewAgent:
    """A new agent with its credentials, which are shown this once.

    With an `Idempotency-Key` the same request gets the same answer again, from the same address
    within 15 minutes and until the API key is first used.
    """
    asked = body or RegistrationRequest()
    application = Application(asked.name, asked.enrolment_token, idempotency_key)
    new = await register_agent(on.service, on.call, application)
    if new.replayed:
        response.headers[IDEMPOTENCY_REPLAYED] = "true"
    return NewAgent.of(new)


def secret_of(body: Any) -> str | None:
    """The rotation secret of a body, or None where it is not a string in an object."""
    secret = body.get("rotationSecret") if isinstance(body, dict) else None
    return secret if isinstance(secret, str) else None


REFERENCED_MODELS = (RotationRequest,)
"""Models that only the documentation names."""
