"""Lists come in pages, newest first; a cursor says where the next one begins."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyturn.core.errors import InvalidRequest

Item = TypeVar("Item")

_NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the cursor of the next page where there is one."""

    items: list[Item]
    next_cursor: str | None

    @classmethod
    def of(cls, found: list[Item], limit: int, seq: Callable[[Item], int]) -> "Page[Item]":
        """The page out of `found`, which was asked for with one item more than the limit."""
        items = found[:limit]
        more = len(found) > limit
        return cls(items, _encode(seq(items[-1])) if more else None)


def before(cursor: str | None) -> int:
    """The sequence number that the page's items are below.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    if cursor is None:
        return _NEWEST
    try:
        seq = int(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="), 10)
    except (ValueError, binascii.Error):
        raise InvalidRequest("cursor", "must be a nextCursor of this list") from None
    if not 0 < seq < _NEWEST or _encode(seq) != cursor:
        raise InvalidRequest("cursor", "must be a nextCursor of this list")
    return seq


def _encode(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode().rstrip("=")
