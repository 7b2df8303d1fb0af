"""Lists come in pages, newest first; a cursor says where the next one begins."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyturn.core.errors import InvalidRequest

Item = TypeVar("Item")
Place = tuple[int, ...]
"""Where an item stands in its list: whole numbers, the newest item's is the greatest."""

_NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the cursor of the next page where there is one."""

    items: list[Item]
    next_cursor: str | None

    @classmethod
    def of(cls, found: list[Item], limit: int, place: Callable[[Item], Place]) -> "Page[Item]":
        """The page out of `found`, which was asked for with one item more than the limit."""
        items = found[:limit]
        more = len(found) > limit
        return cls(items, cursor_of(place(items[-1])) if more else None)


def before(cursor: str | None, numbers: int = 1) -> Place:
    """The place that the page's items are before, which is so many numbers.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    if cursor is None:
        return (_NEWEST,) * numbers
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"==")
        place = tuple(int(number, 10) for number in text.split(b"."))
    except (ValueError, binascii.Error):
        raise InvalidRequest("cursor", "must be a nextCursor of this list") from None
    known = len(place) == numbers and all(0 < number < _NEWEST for number in place)
    if not known or cursor_of(place) != cursor:
        raise InvalidRequest("cursor", "must be a nextCursor of this list")
    return place


def cursor_of(place: Place) -> str:
    """The cursor of the page whose items are before this place."""
    text = ".".join(map(str, place))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
