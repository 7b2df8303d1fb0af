"""What operators do with developers."""

from fastapi import APIRouter

from keyturn.actions import manage_developers
from keyturn.api.answers import DeveloperState, NewDeveloper, ShownDeveloper
from keyturn.api.context import ByDeveloper, DeveloperId, On, for_developers
from keyturn.api.pages import DEFAULT_PAGE_SIZE, Cursor, Items, PageSize
from keyturn.api.requests import DeveloperRequest, NoMembers
from keyturn.core.errors import BuiltInOwner, DeveloperNotFound, EmailTaken, OperatorOnly

router = APIRouter(prefix="/v1/developers", tags=["Developers"])


@router.get("", summary="List developers", **for_developers(OperatorOnly))
async def list_developers(
    on: On, developer: ByDeveloper, cursor: Cursor = None, limit: PageSize = DEFAULT_PAGE_SIZE
) -> Items[ShownDeveloper]:
    """All developers, newest first. The built-in owner has no email."""
    page = await manage_developers.list_developers(
        on.service, developer, cursor=cursor, limit=limit
    )
    shown = [ShownDeveloper.of(item) for item in page.items]
    return Items(items=shown, next_cursor=page.next_cursor)


@router.post(
    "",
    status_code=201,
    summary="Make a developer",
    **for_developers(OperatorOnly, EmailTaken),
)
async def create_developer(on: On, developer: ByDeveloper, body: DeveloperRequest) -> NewDeveloper:
    """A new developer with a first token, which is shown this once."""
    return NewDeveloper.welcomed(
        await manage_developers.create_developer(
            on.service, on.call, developer, body.email, operator=body.operator
        )
    )


@router.post(
    "/{developerId}/disable",
    summary="Disable a developer",
    **for_developers(OperatorOnly, DeveloperNotFound, BuiltInOwner),
)
async def disable_developer(
    on: On, developer: ByDeveloper, developer_id: DeveloperId, _: NoMembers | None = None
) -> DeveloperState:
    """Every token of theirs, and every one that they made for others, is dead from now on.

    Their agents stay.
    """
    return DeveloperState(
        developer_id=await manage_developers.disable_developer(
            on.service, on.call, developer, developer_id
        )
    )
