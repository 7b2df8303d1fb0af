"""How a span of time is cut into bars."""

from dataclasses import dataclass

MAX_BARS = 60
_SECOND = 1000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND
_WIDTHS = (
    *(_SECOND * count for count in (1, 5, 15, 30)),
    *(_MINUTE * count for count in (1, 5, 15, 30)),
    *(_HOUR * count for count in (1, 3, 6, 12)),
    *(_DAY * count for count in (1, 7, 30, 365)),
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many things happened in each of at most 60 spans of `width` milliseconds.

    The first begins at `begins_at`, a multiple of the width, which may be before what was asked
    for. What happened before `counted_from` was not counted; all was where that is None.
    """

    begins_at: int
    width: int
    counts: list[int]
    counted_from: int | None


def width_of_bars(since: int, until: int) -> int:
    """The least usual span, in milliseconds, of which 60 hold all from `since` to `until`.

    They begin at its multiples: days at midnight UTC.
    """
    fitting = (width for width in _WIDTHS if _bars(since, until, width) <= MAX_BARS)
    return next(fitting, _WIDTHS[-1] * (1 + (until - since) // (_WIDTHS[-1] * (MAX_BARS - 1))))


def histogram(
    since: int, until: int, width: int, counted: dict[int, int], counted_from: int | None
) -> Histogram:
    """The bars from `since` to `until`; `counted` is by the instant divided by the width."""
    first = since // width
    counts = [counted.get(first + bar, 0) for bar in range(_bars(since, until, width))]
    return Histogram(first * width, width, counts, counted_from)


def _bars(since: int, until: int, width: int) -> int:
    return -(-until // width) - since // width
