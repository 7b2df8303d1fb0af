"""The parameters and the shape that every list shares."""

import re
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BeforeValidator

from keyturn.api.wire_model import Answer

Shown = TypeVar("Shown")


def _only_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("[0-9]+", value):
        raise ValueError("must be an integer")
    return value


Cursor = Annotated[str | None, Query(description="nextCursor of the page before.", max_length=64)]
PageSize = Annotated[
    int,
    Query(alias="limit", ge=1, le=200, description="Items in a page."),
    BeforeValidator(_only_digits),
]
DEFAULT_PAGE_SIZE = 50


class Items(Answer, Generic[Shown]):
    """A page of a list, newest first; `nextCursor` is null on the last one."""

    items: list[Shown]
    next_cursor: str | None
