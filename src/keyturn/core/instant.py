"""Instants are integers, milliseconds since 1970 UTC; people and clients see RFC 3339."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(instant: int) -> str:
    """`2026-01-31T09:30:00.250Z`."""
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"


def from_datetime(moment: datetime) -> int:
    """The first instant that is not before a datetime that knows its offset.

    So an instant is before the datetime exactly when it is before this.
    """
    return -((_EPOCH - moment) // timedelta(milliseconds=1))
