"""Whose credential is this? Agents by their API key, developers by their token."""

from keyturn.actions.find_agent import agent_by_key
from keyturn.actions.note_use import note_use
from keyturn.actions.notice_reuse import notice_reuse
from keyturn.actions.record_audit import refusals_recorded
from keyturn.actions.retire_credentials import Shown
from keyturn.actions.service import Call, Principal, Service
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Action
from keyturn.core.credential import Kind
from keyturn.core.errors import AgentRevoked, InvalidCredentials, InvalidToken, OperatorOnly
from keyturn.core.rotation import bearer_token
from keyturn.core.token import Token


def authenticate_agent(service: Service, call: Call, authorization: str | None) -> Agent:
    """The agent whose current API key the header carries.

    Raises:
        InvalidCredentials: no key, or one that is unknown, retired or malformed.
        AgentRevoked
    """
    key = service.parse(bearer_token(authorization), Kind.API_KEY)
    agent = service.store.read(lambda tx: agent_by_key(tx, service, key)) if key else None
    if key is None:
        raise InvalidCredentials
    if agent is None:
        notice_reuse(service, call, Shown(key))
        raise InvalidCredentials
    if agent.revoked:
        raise AgentRevoked
    note_use(service, "agent", agent.id, key, agent.key_server_key, agent.generation)
    return agent


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
        token = find_token(service, text, Kind.DEVELOPER_TOKEN)
        if token is None or token.developer_id is None:
            raise InvalidToken
        return Principal(token.developer_id, bool(token.operator), token.id)


def find_token(service: Service, text: str, kind: Kind) -> Token | None:
    """The live token of this kind: known, not expired, not used up, its developer not disabled."""
    credential = service.parse(text, kind)
    if credential is None:
        return None
    # In one snapshot: between two, the token may have moved from one server key to another.
    candidates = service.keyring.candidates(credential)
    for token in service.store.read(
        lambda tx: [tx.one(Token, "token_by_mac", mac=mac.digest) for mac in candidates]
    ):
        if token is not None and token.is_live(service.now()) and not token.used_up:
            note_use(service, "token", token.id, credential, token.server_key)
            return token
    return None


def require_operator(principal: Principal) -> None:
    """Raises `OperatorOnly` for anybody else."""
    if not principal.operator:
        raise OperatorOnly
