"""Instants are integers, milliseconds since 1970 UTC; people and clients see RFC 3339."""

from datetime import UTC, datetime


def rfc3339(instant: int) -> str:
    """`2026-01-31T09:30:00.250Z`."""
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"


def from_datetime(moment: datetime) -> int:
    """The instant of a datetime that knows its offset."""
    return round(moment.timestamp() * 1000)
