"""Pictures as SVG, drawn on the server from plain values.

Colours are classes of the style sheet, for light and dark. Whoever can't see a picture has its
`title`, and the table that stands beside it on the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 720, 180
_LEFT, _BOTTOM, _TOP = 44, 30, 8
_EDGE = 24
"""How near to the right edge the middle of a label may come."""
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its parts from the bottom, by the name of their colour, and what it stands for.

    `href` is where a click on it leads, if anywhere; `known` is whether all of it was counted.
    """

    label: str
    parts: tuple[tuple[str, int], ...]
    told: str
    href: str = ""
    known: bool = True

    @property
    def height(self) -> int:
        return sum(count for _, count in self.parts)


@dataclass(frozen=True, slots=True)
class Share:
    """One part of a whole, by the name of its colour."""

    colour: str
    label: str
    count: int


def bars(title: str, shown: Sequence[Bar]) -> Markup:
    """A bar for each, above a line, with a scale; labels are thinned where they would touch.

    A picture with links is for the pointer alone: others have them in the table beside it.
    """
    scale = nice_maximum(max((bar.height for bar in shown), default=0))
    plot = _HEIGHT - _BOTTOM - _TOP
    slot = (_WIDTH - _LEFT) / max(len(shown), 1)
    width = max(slot * 0.72, 1)
    drawn = [_grid(scale, plot)]
    every = max(1, round(len(shown) / 8))
    for place, bar in enumerate(shown):
        left = _LEFT + place * slot + (slot - width) / 2
        foot = float(_HEIGHT - _BOTTOM)
        opened, closed = _group(bar.href)
        drawn.append(opened + Markup("<title>{}</title>").format(bar.told))
        # What is seen of nothing, so that the pointer finds its title.
        drawn.append(_rect(left, _TOP, width, plot, "none" if bar.known else "track"))
        for colour, count in bar.parts:
            if count:
                tall = max(plot * count / scale, 1.5)
                foot -= tall
                drawn.append(_rect(left, foot, width, tall, colour))
        drawn.append(closed)
        if place % every == 0:
            middle = min(left + width / 2, _WIDTH - _EDGE)
            drawn.append(_text(middle, _HEIGHT - 6, bar.label, "middle"))
    hidden = any(bar.href for bar in shown)
    return _picture(title, _WIDTH, _HEIGHT, drawn, hidden=hidden)


def shares(title: str, shown: Sequence[Share]) -> Markup:
    """One band that is divided as the whole is."""
    total = sum(share.count for share in shown)
    left, drawn = 0.0, []
    for share in shown:
        wide = _WIDTH * share.count / total if total else 0
        if wide:
            told = Markup("<title>{}: {:,}</title>").format(share.label, share.count)
            body = _rect(left, 0, max(wide - 2, 1), 22, share.colour)
            drawn.append(Markup("<g>{}{}</g>").format(told, body))
        left += wide
    if not total:
        drawn.append(_rect(0, 0, _WIDTH, 22, "track"))
    return _picture(title, _WIDTH, 22, drawn)


def meter(title: str, fraction: float, colour: str) -> Markup:
    """How far a span has gone by, at a glance."""
    gone = min(max(fraction, 0.03), 1) * 100
    drawn = [_rect(0, 0, 100, 6, "track", 3), _rect(0, 0, gone, 6, colour, 3)]
    return _picture(title, 100, 6, drawn, stretched=True)


def nice_maximum(highest: int) -> int:
    """The end of a scale that has whole numbers at its quarters: not below the highest value."""
    size = 4
    while True:
        for step in _STEPS:
            if size * step >= highest:
                return size * step
        size *= 10


def _grid(scale: int, plot: int) -> Markup:
    lines = []
    for quarter in range(0, 5, 2):
        height = _HEIGHT - _BOTTOM - plot * quarter / 4
        lines.append(
            Markup('<line class="stroke-line" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                _LEFT, _WIDTH, height, height
            )
        )
        lines.append(_text(_LEFT - 6, height + 4, compact(scale * quarter // 4), "end"))
    return Markup("").join(lines)


def compact(number: int) -> str:
    """A number in at most four characters or so, such as 12k."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + unit
    return str(number)


def _rect(x: float, y: float, width: float, height: float, colour: str, round: int = 2) -> Markup:
    size = Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{}"').format(
        x, y, width, height, round
    )
    return Markup('<rect class="fill-{}" {}/>').format(colour, size)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _group(href: str) -> tuple[Markup, Markup]:
    if href:
        return Markup('<a href="{}" tabindex="-1">').format(href), Markup("</a>")
    return Markup("<g>"), Markup("</g>")


def _picture(
    title: str,
    width: int,
    height: int,
    drawn: Sequence[Markup],
    *,
    stretched: bool = False,
    hidden: bool = False,
) -> Markup:
    ratio = Markup(' preserveAspectRatio="none"') if stretched else ""
    named = Markup('role="img" aria-label="{}"').format(title)
    told = Markup('aria-hidden="true"') if hidden else named
    return Markup('<svg viewBox="0 0 {} {}" {}{}>{}</svg>').format(
        width, height, told, ratio, Markup("").join(drawn)
    )
