"""The generations of an agent: as a picture on an axis of time, and in words for its table.

Places are in percent, so that the picture is as wide as the page and its text stays readable.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from markupsafe import Markup

from keyturn.core.generations import Beginning, Generation, Mark
from keyturn.core.instant import rfc3339

PICTURED = 40
"""How many generations the picture has, the newest."""
BEGINNINGS: dict[Beginning, tuple[str, str]] = {
    "registered": ("Registered itself", "quiet"),
    "created": ("Created by a developer", "quiet"),
    "rotated_by_agent": ("Rotated by itself", "good"),
    "rotated_by_developer": ("Rotated by a developer", "accent"),
    "reinstated": ("Reinstated by a developer", "accent"),
    "secret_configured": ("Rotation secret configured", "accent"),
    "secret_removed": ("Rotation secret removed", "accent"),
    "fenced": ("Retired by the fence", "warn"),
}
"""How a generation began, in words and by the name of its colour."""
_COLOURS = {
    "quiet": "Registered or created",
    "good": "Rotated by itself",
    "accent": "By a developer",
    "warn": "By the fence",
}
_MARKS = {
    "replayed": ("Answer repeated", "muted", "M0-4.5A4.5 4.5 0 1 1-.01-4.5Z"),
    "reused": ("Retired credential came back", "warn", "M0-6 6 0 0 6-6 0Z"),
    "refused": ("Refused", "muted", "M-1.25-5H1.25V5H-1.25Z"),
    "quarantined": ("Quarantined", "warn", "M-4.5-4.5H4.5V4.5H-4.5Z"),
    "revoked": ("Revoked", "bad", "M-4.5-4.5H4.5V4.5H-4.5Z"),
}
_SEVERITIES = {"critical": "bad", "warning": "warn", "info": "muted"}
UNKNOWN = "Began before what the entries tell"
_GAP = 0.3
_LEAST = 1.2
"""The least width of a generation, in percent: what was short is there to be seen."""
_WIDE_LETTER, _PHONE_LETTER = 1.4, 2.5
"""How wide a letter of a label is at most, in percent."""
_BETWEEN = 2.0
"""What labels are apart at least, in percent."""
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (_SECOND, "second"))
_STEPS = [
    many * unit
    for unit, counts in (
        (_SECOND, (1, 2, 5, 10, 20)),
        (_MINUTE, (1, 2, 5, 10, 20)),
        (_HOUR, (1, 2, 4, 8, 12)),
        (_DAY, (1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000)),
    )
    for many in counts
]


@dataclass(frozen=True, slots=True)
class Happening:
    """Marks of one kind that a generation has, told once; `entry_id` is the newest one's."""

    kind: str
    told: str
    colour: str
    path: str
    entry_id: str
    times: int


def happenings(marks: Iterable[Mark]) -> list[Happening]:
    """What happened to a generation, newest first."""
    found: dict[tuple[str, str | None, str | None], list[Mark]] = {}
    for mark in marks:
        found.setdefault((mark.kind, mark.severity, mark.why), []).append(mark)
    return [
        Happening(
            kind=_MARKS[kind][0],
            told=", ".join(each for each in (_MARKS[kind][0], severity, why) if each),
            colour=_colour(same[0]),
            path=_MARKS[kind][2],
            entry_id=same[0].entry_id,
            times=sum(mark.times for mark in same),
        )
        for (kind, severity, why), same in found.items()
    ]


def legend(shown: Iterable[Generation]) -> list[tuple[str, str]]:
    """The colours that the picture has, and what they mean."""
    found = {BEGINNINGS[each.how][1] for each in shown if each.how}
    return [(colour, words) for colour, words in _COLOURS.items() if colour in found]


def generations_chart(shown: Sequence[Generation], since: int, now: int) -> Markup:
    """The newest of them; `since` is when the oldest one had begun, where no entry tells it."""
    # When older ones were is not known where only a mark tells of them.
    known = [each for each in shown if each.began_at or each.ended_at or each is shown[0]]
    drawn = known[:PICTURED][::-1]
    begins = [each.began_at or min(since, each.ended_at or since) for each in drawn]
    axis = _Axis([*begins, now])
    parts = [_scale(axis)]
    for generation, span in zip(drawn, axis.spans, strict=True):
        parts += _segment(axis, generation, span, current=generation is drawn[-1])
    parts += _marks(axis, [mark for generation in drawn for mark in generation.marks])
    numbers = f"Generations {drawn[0].number} to {drawn[-1].number}"
    title = f"{numbers}, from {rfc3339(axis.first)} until now. The table tells the same."
    return Markup('<svg class="generations" role="img" aria-label="{}">{}</svg>').format(
        title, Markup("").join(parts)
    )


class _Axis:
    """Where instants stand from left to right; every span between them can be seen."""

    def __init__(self, instants: Iterable[int]) -> None:
        # Clocks that were set back don't turn the picture round.
        self._instants = list(accumulate(instants, max))
        lasted = [end - begin for begin, end in pairwise(self._instants)]
        widths = [max(100 * each / max(sum(lasted), 1), _LEAST) for each in lasted]
        places = [100 * each / sum(widths) for each in accumulate(widths, initial=0.0)]
        self.spans = list(pairwise(places))

    @property
    def first(self) -> int:
        return self._instants[0]

    @property
    def last(self) -> int:
        return self._instants[-1]

    def place(self, instant: int) -> float:
        at = min(max(bisect_right(self._instants, instant), 1), len(self.spans)) - 1
        begin, end = self._instants[at : at + 2]
        left, right = self.spans[at]
        part = (instant - begin) / max(end - begin, 1)
        return left + min(max(part, 0), 1) * (right - left)


def _segment(
    axis: _Axis, generation: Generation, span: tuple[float, float], *, current: bool
) -> list[Markup]:
    left, right = span
    words, colour = BEGINNINGS[generation.how] if generation.how else (UNKNOWN, "track")
    told = f"Generation {generation.number}: {words}"
    told += f", {rfc3339(generation.began_at)}" if generation.began_at else ""
    revoked = [mark.at for mark in generation.marks if mark.kind == "revoked"]
    alive = axis.place(max(revoked)) if revoked else right
    drawn = [Markup("<title>{}</title>").format(told), _band(left, alive, colour)]
    if revoked:
        drawn.append(_band(alive, right, "bad", thin=True))
    number = str(generation.number)
    if current or right - left > 1 + 2.5 * len(number):
        drawn.append(_text((left + right) / 2, 12, number, "middle"))
    return [Markup("<g>{}</g>").format(Markup("").join(drawn))]


def _marks(axis: _Axis, marks: Iterable[Mark]) -> list[Markup]:
    drawn: dict[tuple[str, str, int], Markup] = {}
    for mark in marks:
        words, _, path = _MARKS[mark.kind]
        place, colour = axis.place(mark.at), _colour(mark)
        # Of what would cover each other, one is enough.
        drawn[mark.kind, colour, round(place)] = Markup(
            '<svg class="mark" x="{:.2f}%" y="58"><title>{}, {}</title>'
            '<path class="fill-{}" d="{}"/></svg>'
        ).format(place, words, rfc3339(mark.at), colour, path)
    return list(drawn.values())


def _scale(axis: _Axis) -> Markup:
    """A line with how long ago that was: the same in every zone."""
    span = axis.last - axis.first
    step = next((step for step in _STEPS if 4 * step >= span), _STEPS[-1])
    unit, name = next((unit, name) for unit, name in _UNITS if unit <= step)
    drawn = [
        Markup('<line class="stroke-line" x1="0" x2="100%" y1="70" y2="70"/>'),
        _text(100, 86, "now", "end"),
    ]
    wide, phone = _Room(_WIDE_LETTER), _Room(_PHONE_LETTER)
    for ago in range(step, span + 1, step):
        place = axis.place(axis.last - ago)
        count = ago // unit
        label = f"{count:,} {name}{'' if count == 1 else 's'} ago"
        anchor = "start" if place < _PHONE_LETTER * len(label) / 2 else "middle"
        if not wide.take(place, label, anchor):
            continue
        where = "" if phone.take(place, label, anchor) else "wide-only"
        line = Markup('<line class="stroke-line" x1="{0:.2f}%" x2="{0:.2f}%" y1="66" y2="70"/>')
        text = _text(place, 86, label, anchor)
        drawn.append(Markup('<g class="{}">{}{}</g>').format(where, line.format(place), text))
    return Markup("").join(drawn)


class _Room:
    """What is left for labels beside "now", which are put there from the right."""

    def __init__(self, letter: float) -> None:
        self._letter = letter
        self._ends = 100 - letter * len("now") - _BETWEEN

    def take(self, place: float, label: str, anchor: str) -> bool:
        """Put a label there, if that much is free."""
        width = self._letter * len(label)
        begins = place if anchor == "start" else place - width / 2
        if begins + width > self._ends:
            return False
        self._ends = begins - _BETWEEN
        return True


def _band(left: float, right: float, colour: str, *, thin: bool = False) -> Markup:
    y, height = (30, 4) if thin else (20, 24)
    width = max(right - left - _GAP, _GAP)
    return Markup(
        '<rect class="fill-{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}" rx="3"/>'
    ).format(colour, left, y, width, height)


def _text(x: float, y: int, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _colour(mark: Mark) -> str:
    return _SEVERITIES.get(mark.severity or "", _MARKS[mark.kind][1])
