"""When entries happened: bars that narrow the range, and the same as rows of a table."""

from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from keyturn.core.agent import DAY
from keyturn.core.histogram import Histogram
from keyturn.core.instant import rfc3339
from keyturn.dashboard.audit_query import Asked, bounds
from keyturn.dashboard.charts import Bar, bars

_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Span:
    """What one bar stands for: from when, how many, and the link that shows these alone."""

    begins_at: int
    count: int
    link: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`spans` are those in which something happened, newest first."""

    total: int
    svg: Markup
    spans: list[Span]
    whole_days: bool
    counted_from: int | None


def picture_of(made: Histogram, asked: Asked) -> Picture:
    """The picture of a histogram of what was asked for."""
    places = range(made.begins_at, made.begins_at + made.width * len(made.counts), made.width)
    spans = [
        Span(begins_at, count, asked.link(**bounds(begins_at, begins_at + made.width)))
        for begins_at, count in zip(places, made.counts, strict=True)
    ]
    total = sum(made.counts)
    return Picture(
        total=total,
        svg=bars(f"{total:,} entries", [_bar(span, made) for span in spans]),
        spans=[span for span in reversed(spans) if span.count],
        whole_days=made.width % DAY == 0,
        counted_from=made.counted_from,
    )


def _bar(span: Span, made: Histogram) -> Bar:
    begins, ends = span.begins_at, span.begins_at + made.width
    known = made.counted_from is None or ends > made.counted_from
    told = f"{span.count:,}" if known else "not counted"
    return Bar(
        label=_label(begins, made.width),
        parts=(("accent", span.count),),
        told=f"{rfc3339(begins)[:16].replace('T', ' ')} UTC: {told}",
        href=span.link if span.count or not known else "",
        known=known,
    )


def _label(begins_at: int, width: int) -> str:
    begins = datetime.fromtimestamp(begins_at // 1000, UTC)
    if width >= DAY or begins_at % DAY == 0:
        return f"{begins.day} {begins:%b}"
    return f"{begins:%H:%M}" if width >= _MINUTE else f"{begins:%H:%M:%S}"
