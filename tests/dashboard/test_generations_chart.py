"""The picture of an agent's generations."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from keyturn.core.agent import DAY
from keyturn.core.generations import Generation, Mark
from keyturn.dashboard.generations_chart import PICTURED, generations_chart, happenings

NOW = 1_800_000_000_000


def generation(number: int, began: int | None, ended: int | None, *marks: Mark) -> Generation:
    """Of which the days are told, counted back from now."""
    began_at, ended_at = (None if day is None else NOW - day * DAY for day in (began, ended))
    how = None if began is None else "registered" if number == 1 else "rotated_by_agent"
    return Generation(number, began_at, ended_at, how, list(marks))  # type: ignore[arg-type]


def mark(day: int, kind: str, **known: object) -> Mark:
    return Mark("entry", NOW - day * DAY, kind, **known)  # type: ignore[arg-type]


def bands(picture: str) -> list[tuple[str, float, float]]:
    """The colour of each, where it begins and where it ends, in percent."""
    found = re.findall('<rect class="fill-(.*?)" x="(.*?)%" y=".*?" width="(.*?)%"', picture)
    return [(colour, float(x), float(x) + float(width)) for colour, x, width in found]


def test_a_generation_is_as_wide_as_it_was_long() -> None:
    shown = [generation(2, 10, None), generation(1, 40, 10)]
    (first, *_), (second, begins, _) = bands(generations_chart(shown, NOW, NOW))
    assert (first, second) == ("quiet", "good")
    assert begins == pytest.approx(75, abs=0.5)


def test_a_generation_of_a_moment_can_be_seen() -> None:
    shown = [generation(3, 0, None), generation(2, 0, 0), generation(1, 300, 0)]
    picture = generations_chart(shown, NOW, NOW)
    assert [end - begin > 0.5 for _, begin, end in bands(picture)] == [True] * 3


def test_a_clock_that_was_set_back_does_not_stretch_what_follows() -> None:
    shown = [generation(3, 30, None), generation(2, 10, 30), generation(1, 40, 10)]
    (_, _, first_ends), *_ = bands(generations_chart(shown, NOW, NOW))
    assert first_ends == pytest.approx(74, abs=1)


def test_the_time_after_a_revocation_is_drawn_as_one() -> None:
    shown = [generation(2, 10, None), generation(1, 40, 10, mark(20, "revoked"))]
    colours = [colour for colour, *_ in bands(generations_chart(shown, NOW, NOW))]
    assert colours == ["quiet", "bad", "good"]


def test_of_very_many_the_newest_are_drawn() -> None:
    shown = [generation(number, 300 - number, None) for number in range(200, 0, -1)]
    picture = generations_chart(shown, NOW, NOW)
    assert len(bands(picture)) == PICTURED
    assert 'aria-label="Generations 161 to 200,' in picture


def test_what_only_a_mark_tells_of_has_no_place() -> None:
    shown = [generation(8, 3, None), generation(7, None, 3), generation(2, None, None)]
    picture = generations_chart(shown, NOW - 9 * DAY, NOW)
    assert [colour for colour, *_ in bands(picture)] == ["track", "good"]


def test_a_flood_of_marks_is_drawn_once_where_it_would_cover_itself() -> None:
    shown = [generation(1, 40, None, *[mark(5, "refused") for _ in range(150)])]
    assert generations_chart(shown, NOW, NOW).count('class="mark"') == 1


def test_an_agent_without_entries_has_a_picture() -> None:
    assert len(bands(generations_chart([generation(4, None, None)], NOW - DAY, NOW))) == 1


DAYS = some.integers(-400, 4000)


@given(some.lists(some.tuples(some.none() | DAYS, some.none() | DAYS), min_size=1), DAYS)
def test_everything_is_within_the_picture_whatever_clocks_have_said(
    spans: list[tuple[int | None, int | None]], marked: int
) -> None:
    count = len(spans)
    shown = [
        generation(count - place, *span, mark(marked, "revoked"))
        for place, span in enumerate(spans)
    ]
    picture = generations_chart(shown, NOW - DAY, NOW)
    places = [float(place) for place in re.findall('x[12]?="([^"]+)%"', picture)]
    assert all(0 <= place <= 100 for place in places)
    assert all(begin < end <= 100.5 for _, begin, end in bands(picture))


def test_marks_of_one_kind_are_told_once_with_how_often() -> None:
    found = happenings(
        [
            mark(1, "refused", why="agent_revoked", times=7),
            mark(2, "reused", severity="critical"),
            mark(3, "refused", why="agent_revoked"),
        ]
    )
    assert [(each.told, each.colour, each.times) for each in found] == [
        ("Refused, agent_revoked", "muted", 8),
        ("Retired credential came back, critical", "bad", 1),
    ]
