"""What an agent does for itself: register, rotate, look, revoke."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header

from keyturn.actions.register_agent import register_agent
from keyturn.actions.revoke_agent import revoke_self
from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.api.answers import AgentState, NewAgent, OwnAgent, Rotated
from keyturn.api.context import ByAgent, On, for_agents, public
from keyturn.api.requests import RegistrationRequest, RotationRequest
from keyturn.core.errors import (
    AgentQuarantined,
    InvalidEnrolmentToken,
    InvalidIdempotencyKey,
    NoRotationSecret,
    RegistrationClosed,
    RotationSecretRequired,
    TooManyAttempts,
    TooManyRegistrations,
    TooManyRotationAttempts,
)
from keyturn.wire import REGISTER, REVOKE_SELF, ROTATE_SELF, SELF

router = APIRouter(tags=["Agents themselves"])

Authorization = Annotated[str | None, Header(include_in_schema=False)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        json_schema_extra={"minLength": 22, "maxLength": 255, "pattern": "^[!#-~][!-~]+$"},
        examples=["7c1f3c2e-95d4-4d0b-8a51-3f1d2b6e4a90"],
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
    **_both_credentials(InvalidIdempotencyKey, TooManyRotationAttempts, AgentQuarantined),
)
async def rotate_self(
    on: On,
    authorization: Authorization = None,
    idempotency_key: IdempotencyKey = None,
    body: Secret = None,
) -> Rotated:
    """Both current credentials die, and both new ones are in the answer: save them first."""
    presented = Presented(authorization, secret_of(body), idempotency_key)
    return Rotated.of(await rotate_own_credentials(on.service, on.call, presented))


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
    **public(InvalidEnrolmentToken, RegistrationClosed, TooManyRegistrations),
)
async def register(on: On, body: RegistrationRequest | None = None) -> NewAgent:
    """A new agent with its credentials, which are shown this once."""
    asked = body or RegistrationRequest()
    return NewAgent.of(await register_agent(on.service, on.call, asked.name, asked.enrolment_token))


def secret_of(body: Any) -> str | None:
    """The rotation secret of a body, or None where it is not a string in an object."""
    secret = body.get("rotationSecret") if isinstance(body, dict) else None
    return secret if isinstance(secret, str) else None


REFERENCED_MODELS = (RotationRequest,)
"""Models that only the documentation names."""
