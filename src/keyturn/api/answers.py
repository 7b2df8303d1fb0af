"""The members of answers, and how the kept becomes the shown."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from keyturn.actions.issue_credentials import Issued
from keyturn.actions.manage_developers import Welcomed
from keyturn.actions.register_agent import Registered
from keyturn.api.wire_model import API_KEY_EXAMPLE, SECRET_EXAMPLE, Answer
from keyturn.core.agent import (
    Agent,
    AgentStatus,
    OnReuse,
)
from keyturn.core.audit_trail import Entry
from keyturn.core.credential import Credential, Kind, mask
from keyturn.core.developer import Developer
from keyturn.core.instant import rfc3339
from keyturn.core.token import Token
from keyturn.trail_export import members
from keyturn.wire import ROTATED

_ID = "adb2658d-6f2c-4a7e-9d1b-3c5f0e8a7b64"
_AT = "2026-01-31T09:30:00.250Z"

Id = Annotated[str, Field(examples=[_ID], json_schema_extra={"format": "uuid"})]
Instant = Annotated[str, Field(examples=[_AT], json_schema_extra={"format": "date-time"})]


class Health(Answer):
    status: Literal["alive", "ready"]


class Rotated(Answer):
    message: str
    api_key: Annotated[str, Field(examples=[API_KEY_EXAMPLE])]
    rotation_secret: Annotated[str | None, Field(examples=[SECRET_EXAMPLE])]
    agent_id: Id
    agent_name: str

    @classmethod
    def of(cls, issued: Issued) -> Self:
        return cls(
            message=ROTATED,
            api_key=issued.pair.api_key.reveal(),
            rotation_secret=_revealed(issued.pair.rotation_secret),
            agent_id=issued.agent_id,
            agent_name=issued.agent_name,
        )


class NewAgent(Answer):
    agent_id: Id
    developer_id: Id
    name: str
    api_key: Annotated[str, Field(examples=[API_KEY_EXAMPLE])]
    rotation_secret: Annotated[str | None, Field(examples=[SECRET_EXAMPLE])]
    credit_balance: int

    @classmethod
    def of(cls, new: Registered) -> Self:
        return cls(
            agent_id=new.agent_id,
            developer_id=new.developer_id,
            name=new.name,
            api_key=new.pair.api_key.reveal(),
            rotation_secret=_revealed(new.pair.rotation_secret),
            credit_balance=new.credit_balance,
        )


class OwnAgent(Answer):
    """What an agent sees of itself."""

    agent_id: Id
    agent_name: str
    developer_id: Id
    status: AgentStatus
    generation: int
    key_created_at: Instant
    rotation_due_at: Instant
    rotation_secret_configured: bool
    credit_balance: int

    @classmethod
    def of(cls, agent: Agent) -> Self:
        return cls(**_own_members(agent))


class DevelopersAgent(OwnAgent):
    """What its developer sees of an agent."""

    api_key_masked: Annotated[str, Field(examples=["sk_live_ak_…x7Qz"])]
    metadata: dict[str, Any]
    on_reuse: OnReuse
    rotation_period_days: int
    created_at: Instant
    last_used_at: Instant | None
    last_used_address: Annotated[str | None, Field(examples=["203.0.113.7"])]

    @classmethod
    def seen(cls, agent: Agent, prefix: str) -> Self:
        return cls(
            **_own_members(agent),
            api_key_masked=mask(f"{prefix}_{Kind.API_KEY}_", agent.key_last4),
            metadata=json.loads(agent.metadata),
            on_reuse=agent.on_reuse,
            rotation_period_days=agent.rotation_period_days,
            created_at=rfc3339(agent.created_at),
            last_used_at=_optional_instant(agent.last_used_at),
            last_used_address=agent.last_used_address,
        )


class AgentState(Answer):
    agent_id: Id
    status: Literal["revoked"] = "revoked"


class NewRotationSecret(Answer):
    agent_id: Id
    rotation_secret: Annotated[str, Field(examples=[SECRET_EXAMPLE])]


class Credits(Answer):
    agent_id: Id
    credit_balance: int


class ShownToken(Answer):
    id: Id
    kind: Literal["developer", "service", "enrolment"]
    name: str
    developer_id: Id | None
    masked: Annotated[str, Field(examples=["sk_live_dt_…x7Qz"])]
    created_at: Instant
    last_used_at: Instant | None

    @classmethod
    def seen(cls, token: Token, prefix: str, /, **more: Any) -> Self:
        return cls(
            id=token.id,
            kind=_KIND_NAMES[Kind(token.kind)],
            name=token.name,
            developer_id=token.developer_id,
            masked=mask(f"{prefix}_{token.kind}_", token.last4),
            created_at=rfc3339(token.created_at),
            last_used_at=_optional_instant(token.last_used_at),
            **more,
        )


class ShownEnrolmentToken(ShownToken):
    max_uses: int
    uses: int
    expires_at: Instant

    @classmethod
    def seen(cls, token: Token, prefix: str, /, **more: Any) -> Self:
        return super().seen(
            token,
            prefix,
            max_uses=token.max_uses,
            uses=token.uses,
            expires_at=_optional_instant(token.expires_at),
            **more,
        )


class NewToken(ShownToken):
    token: Annotated[str, Field(examples=["sk_live_dt_…"])]


class NewEnrolmentToken(ShownEnrolmentToken):
    token: Annotated[str, Field(examples=["sk_live_en_…"])]


class ShownDeveloper(Answer):
    developer_id: Id
    email: str | None
    operator: bool
    status: Literal["active", "disabled"]
    created_at: Instant

    @classmethod
    def of(cls, developer: Developer, **more: Any) -> Self:
        return cls(
            developer_id=developer.id,
            email=developer.email,
            operator=bool(developer.operator),
            status=developer.status,
            created_at=rfc3339(developer.created_at),
            **more,
        )


class NewDeveloper(ShownDeveloper):
    token: Annotated[str, Field(examples=["sk_live_dt_…"])]

    @classmethod
    def welcomed(cls, welcomed: Welcomed) -> Self:
        return cls.of(welcomed.developer, token=welcomed.token.reveal())


class DeveloperState(Answer):
    developer_id: Id
    status: Literal["disabled"] = "disabled"


class ShownActor(Answer):
    kind: Literal["agent", "developer", "service", "system", "command_line", "anonymous"]
    id: Id | None


class AuditEntry(Answer):
    id: Id
    at: Instant
    actor: ShownActor
    action: Annotated[str, Field(examples=["credential.rotated"])]
    outcome: Literal["success", "refused"]
    agent_id: Id | None
    developer_id: Id | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls.model_validate(members(entry))


_KIND_NAMES: dict[Kind, Literal["developer", "service", "enrolment"]] = {
    Kind.DEVELOPER_TOKEN: "developer",
    Kind.SERVICE_TOKEN: "service",
    Kind.ENROLMENT_TOKEN: "enrolment",
}


def _own_members(agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": agent.id,
        "agent_name": agent.name,
        "developer_id": agent.developer_id,
        "status": agent.status,
        "generation": agent.generation,
        "key_created_at": rfc3339(agent.key_created_at),
        "rotation_due_at": rfc3339(agent.rotation_due_at),
        "rotation_secret_configured": agent.secret_mac is not None,
        "credit_balance": agent.credit_balance,
    }


def _optional_instant(instant: int | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _revealed(credential: Credential | None) -> str | None:
    return credential.reveal() if credential else None
