"""A span of time is cut into at most 60 bars of a usual width."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn.core.histogram import MAX_BARS, histogram, width_of_bars

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NOON = 1_800_000_000_000 // DAY * DAY + 12 * HOUR


@pytest.mark.parametrize(
    ("span", "width"),
    [
        (1, SECOND),
        (MINUTE, SECOND),
        (MINUTE + 1, 5 * SECOND),
        (HOUR, MINUTE),
        (DAY, 30 * MINUTE),
        (7 * DAY, 3 * HOUR),
        (30 * DAY, 12 * HOUR),
        (60 * DAY - 12 * HOUR, DAY),
        (60 * DAY, 7 * DAY),
        (10 * 365 * DAY, 365 * DAY),
        (100 * 365 * DAY, 2 * 365 * DAY),
    ],
)
def test_bars_have_the_least_usual_width_of_which_60_are_enough(span: int, width: int) -> None:
    assert width_of_bars(NOON, NOON + span) == width


@example(since=0, span=365 * DAY * 60 - 1)
@example(since=DAY, span=365 * DAY * 60)
@given(since=st.integers(0, 2**45), span=st.integers(1, 2**50))
def test_there_are_at_most_60_bars_and_they_hold_the_whole_span(since: int, span: int) -> None:
    width = width_of_bars(since, since + span)
    made = histogram(since, since + span, width, {}, None)
    assert 1 <= len(made.counts) <= MAX_BARS
    assert made.begins_at % width == 0
    assert made.begins_at <= since < made.begins_at + width
    ends_at = made.begins_at + width * len(made.counts)
    assert ends_at - width < since + span <= ends_at


def test_what_was_counted_stands_in_the_bar_of_its_time() -> None:
    counted = {NOON // HOUR: 2, NOON // HOUR + 2: 3}
    made = histogram(NOON + 1, NOON + 3 * HOUR, HOUR, counted, NOON + 5)
    assert (made.begins_at, made.counts, made.counted_from) == (NOON, [2, 0, 3], NOON + 5)


def test_a_span_that_ends_before_it_begins_has_no_bars() -> None:
    assert histogram(NOON, NOON, width_of_bars(NOON, NOON), {}, None).counts == []
    assert histogram(NOON, 0, width_of_bars(NOON, 0), {}, None).counts == []
