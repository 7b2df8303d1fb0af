"""Developer, service and enrolment tokens."""

from typing import Any, TypeVar

from fastapi import APIRouter, Response

from keyturn.actions import manage_tokens
from keyturn.actions.manage_tokens import NewToken as TokenToMake
from keyturn.actions.service import Principal
from keyturn.api.answers import NewEnrolmentToken, NewToken, ShownEnrolmentToken, ShownToken
from keyturn.api.context import ByDeveloper, Context, On, TokenId, for_developers
from keyturn.api.pages import DEFAULT_PAGE_SIZE, Cursor, Items, PageSize
from keyturn.api.requests import DeveloperTokenRequest, EnrolmentTokenRequest, ServiceTokenRequest
from keyturn.core.agent import clean_name
from keyturn.core.credential import Kind
from keyturn.core.errors import DeveloperNotFound, OperatorOnly, TokenNotFound
from keyturn.core.instant import from_datetime

router = APIRouter(prefix="/v1", tags=["Tokens"])

Shown = TypeVar("Shown", bound=ShownToken)


@router.post(
    "/developer-tokens",
    status_code=201,
    summary="Make a developer token",
    **for_developers(OperatorOnly, DeveloperNotFound),
)
async def create_developer_token(
    on: On, developer: ByDeveloper, body: DeveloperTokenRequest | None = None
) -> NewToken:
    """Another token of your own, shown this once; an operator may make one for anybody."""
    asked = body or DeveloperTokenRequest()
    owner = asked.developer_id or developer.developer_id
    return await _create(on, developer, Kind.DEVELOPER_TOKEN, asked.name, owner)


@router.post("/service-tokens", status_code=201, summary="Make a service token", **for_developers())
async def create_service_token(
    on: On, developer: ByDeveloper, body: ServiceTokenRequest | None = None
) -> NewToken:
    """For a service that checks your agents' keys; shown this once."""
    asked = body or ServiceTokenRequest()
    return await _create(on, developer, Kind.SERVICE_TOKEN, asked.name, developer.developer_id)


@router.post(
    "/enrolment-tokens", status_code=201, summary="Make an enrolment token", **for_developers()
)
async def create_enrolment_token(
    on: On, developer: ByDeveloper, body: EnrolmentTokenRequest | None = None
) -> NewEnrolmentToken:
    """Whoever holds it may register agents that belong to you; shown this once."""
    asked = body or EnrolmentTokenRequest()
    expires = from_datetime(asked.expires_at) if asked.expires_at else None
    new = TokenToMake(
        Kind.ENROLMENT_TOKEN,
        clean_name(asked.name),
        developer.developer_id,
        asked.max_uses,
        manage_tokens.enrolment_expiry(on.service, expires),
    )
    token, secret = await manage_tokens.create_token(on.service, on.call, developer, new)
    return NewEnrolmentToken.seen(token, on.service.policy.prefix, token=secret.reveal())


@router.get("/developer-tokens", summary="List developer tokens", **for_developers())
async def list_developer_tokens(
    on: On, developer: ByDeveloper, cursor: Cursor = None, limit: PageSize = DEFAULT_PAGE_SIZE
) -> Items[ShownToken]:
    """Your tokens, masked, newest first; an operator sees everybody's."""
    return await _list(on, developer, Kind.DEVELOPER_TOKEN, ShownToken, cursor, limit)


@router.get("/service-tokens", summary="List service tokens", **for_developers())
async def list_service_tokens(
    on: On, developer: ByDeveloper, cursor: Cursor = None, limit: PageSize = DEFAULT_PAGE_SIZE
) -> Items[ShownToken]:
    """Your services' tokens, masked, newest first; an operator sees everybody's."""
    return await _list(on, developer, Kind.SERVICE_TOKEN, ShownToken, cursor, limit)


@router.get("/enrolment-tokens", summary="List enrolment tokens", **for_developers())
async def list_enrolment_tokens(
    on: On, developer: ByDeveloper, cursor: Cursor = None, limit: PageSize = DEFAULT_PAGE_SIZE
) -> Items[ShownEnrolmentToken]:
    """Your enrolment tokens, masked, newest first; an operator sees everybody's."""
    return await _list(on, developer, Kind.ENROLMENT_TOKEN, ShownEnrolmentToken, cursor, limit)


_DELETED: dict[str, Any] = {"status_code": 204, "response_class": Response}


@router.delete(
    "/developer-tokens/{tokenId}",
    summary="Delete a developer token",
    **_DELETED,
    **for_developers(TokenNotFound),
)
async def delete_developer_token(on: On, developer: ByDeveloper, token_id: TokenId) -> None:
    """It is dead from now on."""
    await manage_tokens.delete_token(on.service, on.call, developer, Kind.DEVELOPER_TOKEN, token_id)


@router.delete(
    "/service-tokens/{tokenId}",
    summary="Delete a service token",
    **_DELETED,
    **for_developers(TokenNotFound),
)
async def delete_service_token(on: On, developer: ByDeveloper, token_id: TokenId) -> None:
    """It is dead from now on."""
    await manage_tokens.delete_token(on.service, on.call, developer, Kind.SERVICE_TOKEN, token_id)


@router.delete(
    "/enrolment-tokens/{tokenId}",
    summary="Delete an enrolment token",
    **_DELETED,
    **for_developers(TokenNotFound),
)
async def delete_enrolment_token(on: On, developer: ByDeveloper, token_id: TokenId) -> None:
    """It is dead from now on; agents that registered with it stay."""
    await manage_tokens.delete_token(on.service, on.call, developer, Kind.ENROLMENT_TOKEN, token_id)


async def _create(on: Context, developer: Principal, kind: Kind, name: str, owner: str) -> NewToken:
    new = TokenToMake(kind, clean_name(name), owner)
    token, secret = await manage_tokens.create_token(on.service, on.call, developer, new)
    return NewToken.seen(token, on.service.policy.prefix, token=secret.reveal())


async def _list(
    on: Context,
    developer: Principal,
    kind: Kind,
    shape: type[Shown],
    cursor: str | None,
    limit: int,
) -> Items[Shown]:
    page = await manage_tokens.list_tokens(on.service, developer, kind, cursor=cursor, limit=limit)
    prefix = on.service.policy.prefix
    shown = [shape.seen(token, prefix) for token in page.items]
    return Items(items=shown, next_cursor=page.next_cursor)
