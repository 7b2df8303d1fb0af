"""Whose credential is this? Agents by their API key, developers by their token."""

from keyturn.actions.find_agent import kept_now
from keyturn.actions.note_use import note_token_use
from keyturn.actions.record_audit import note_refusal, refusals_recorded
from keyturn.actions.service import Call, Principal, Service
from keyturn.actions.verify_key import verify_key
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action
from keyturn.core.credential import Kind
from keyturn.core.errors import InvalidToken, OperatorOnly
from keyturn.core.rotation import bearer_token
from keyturn.core.token import Token


async def authenticate_agent(service: Service, call: Call, authorization: str | None) -> Agent:
    """The agent whose current API key the header carries.

    Raises:
        InvalidCredentials: no key, or one that is unknown, retired or malformed.
        AgentRevoked
    """
    return await verify_key(service, call, bearer_token(authorization))


async def authenticate_service(service: Service, call: Call, text: str | None) -> Token:
    """The service whose token this is.

    Raises:
        InvalidToken: no token, one that is unknown or deleted, or a disabled developer's.
    """
    token = await find_token(service, text, Kind.SERVICE_TOKEN) if text is not None else None
    if token is None:
        if text is not None:
            note_refusal(service, call, Action.TOKEN_REFUSED, InvalidToken.code)
        raise InvalidToken
    return token


async def authenticate_developer(
    service: Service, call: Call, authorization: str | None
) -> Principal:
    """The developer whose token the header carries.

    Raises:
        InvalidToken: no token, one that is unknown or deleted, or a disabled developer's.
    """
    text = bearer_token(authorization)
    if text is None:
        raise InvalidToken
    async with refusals_recorded(service, call, Action.TOKEN_REFUSED):
        token = await find_token(service, text, Kind.DEVELOPER_TOKEN)
        if token is None or token.developer_id is None:
            raise InvalidToken
        return Principal(token.developer_id, bool(token.operator), token.id)


async def find_token(service: Service, text: str, kind: Kind) -> Token | None:
    """The live token of this kind: known, not expired, not used up, its developer not disabled."""
    credential = service.parse(text, kind)
    if credential is None:
        return None
    token = await kept_now(service, Token, "token_by_mac", credential)
    if token is None or token.used_up or not token.is_live(service.now()):
        return None
    note_token_use(service, token, credential)
    return token


def require_operator(principal: Principal) -> None:
    """Raises `OperatorOnly` for anybody else."""
    if not principal.operator:
        raise OperatorOnly
