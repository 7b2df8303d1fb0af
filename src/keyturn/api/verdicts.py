"""The members of answers to services that check keys."""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from keyturn.actions.verify_key import Refused
from keyturn.api.answers import Id, Instant
from keyturn.api.wire_model import Answer
from keyturn.core.agent import Agent
from keyturn.core.errors import AgentRevoked, InsufficientCredits, InvalidCredentials
from keyturn.core.instant import rfc3339

INACTIVE = json.dumps({"active": False}).encode()


class GoodKey(Answer):
    """The key is its agent's current one."""

    valid: Literal[True] = True
    agent_id: Id
    agent_name: str
    developer_id: Id
    generation: int
    key_created_at: Instant
    rotation_due_at: Instant
    credit_balance: int

    @classmethod
    def of(cls, agent: Agent) -> Self:
        return cls(
            agent_id=agent.id,
            agent_name=agent.name,
            developer_id=agent.developer_id,
            generation=agent.generation,
            key_created_at=rfc3339(agent.key_created_at),
            rotation_due_at=rfc3339(agent.rotation_due_at),
            credit_balance=agent.credit_balance,
        )


class BadKey(Answer):
    """The key is not good, or its agent can't pay the cost."""

    valid: Literal[False] = False
    code: Literal["invalid", "revoked", "insufficient_credits"]


class Verdicts(Answer):
    """One for each key, in the order in which they were asked for."""

    items: list[GoodKey | BadKey]
    next_cursor: None = None


class ActiveToken(BaseModel):
    """Introspection of a good key (RFC 7662, section 2.2)."""

    active: Literal[True] = True
    sub: Annotated[Id, Field(description="The agent.")]
    client_id: Annotated[Id, Field(description="The agent's developer.")]
    token_type: Literal["Bearer"] = "Bearer"
    iat: Annotated[int, Field(description="Seconds since 1970 UTC.", examples=[1769851800])]

    @classmethod
    def of(cls, agent: Agent) -> Self:
        return cls(sub=agent.id, client_id=agent.developer_id, iat=agent.key_created_at // 1000)


class InactiveToken(BaseModel):
    """Introspection of anything else: why, is not told."""

    active: Literal[False] = False


_CODES: dict[type[Exception], Literal["invalid", "revoked", "insufficient_credits"]] = {
    InvalidCredentials: "invalid",
    AgentRevoked: "revoked",
    InsufficientCredits: "insufficient_credits",
}


def verdict(found: Agent | Refused) -> GoodKey | BadKey:
    """What a service is told of a key."""
    return GoodKey.of(found) if isinstance(found, Agent) else BadKey(code=_CODES[type(found)])
