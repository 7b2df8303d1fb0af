"""Sliding windows, held against a model that keeps every attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.rate_limit import Counted, Limit, Verdict, judge

ROTATION = Limit("rotation", 3, 900)
NOW = 1_800_000_000_000
MINUTE = 60_000


def counted(limit: Limit, taken: list[int], now: int) -> Counted:
    """What a store tells of the attempts taken: the newest in the window, at most the quota."""
    inside = sorted(at for at in taken if now - limit.window < at <= now)[-limit.quota :]
    return Counted(len(inside), min(inside, default=None))


def ask(limit: Limit, taken: list[int], now: int) -> Verdict:
    return judge(limit, counted(limit, taken, now), now)


@pytest.mark.parametrize(
    ("minutes_ago", "allowed", "remaining", "reset_seconds"),
    [
        ([], True, 2, 900),
        ([0], True, 1, 900),
        ([1], True, 1, 840),
        ([5, 1], True, 0, 600),
        ([5, 3, 1], False, 0, 600),
        ([14, 3, 1], False, 0, 60),
        ([15, 3, 1], True, 0, 720),
        ([20, 19, 18], True, 2, 900),
    ],
)
def test_three_attempts_pass_in_fifteen_minutes(
    minutes_ago: list[int], allowed: bool, remaining: int, reset_seconds: int
) -> None:
    verdict = ask(ROTATION, [NOW - minutes * MINUTE for minutes in minutes_ago], NOW)
    assert verdict == Verdict(ROTATION, allowed, remaining, reset_seconds)


@pytest.mark.parametrize(
    ("milliseconds_left", "reset_seconds"),
    [(1, 1), (999, 1), (1000, 1), (1001, 2), (899_001, 900), (900_000, 900)],
)
def test_the_wait_is_told_in_whole_seconds_rounded_up(
    milliseconds_left: int, reset_seconds: int
) -> None:
    oldest = NOW + milliseconds_left - ROTATION.window
    assert judge(ROTATION, Counted(3, oldest), NOW).reset_seconds == reset_seconds


@pytest.mark.parametrize(
    ("oldest", "reset_seconds"), [(NOW + 10 * MINUTE, 900), (NOW - 10_000 * MINUTE, 1)]
)
def test_the_wait_is_at_least_a_second_and_at_most_the_window(
    oldest: int, reset_seconds: int
) -> None:
    assert judge(ROTATION, Counted(3, oldest), NOW).reset_seconds == reset_seconds


limits = st.builds(Limit, st.just("any"), st.integers(1, 4), st.integers(1, 5))
gaps = st.lists(st.integers(0, 2500), max_size=40)


@given(limit=limits, gaps=gaps)
def test_exactly_as_many_pass_as_a_naive_model_lets_pass(limit: Limit, gaps: list[int]) -> None:
    now, taken = NOW, list[int]()
    for gap in gaps:
        now += gap
        in_window = sum(1 for at in taken if at > now - limit.window)
        verdict = ask(limit, taken, now)
        assert verdict.allowed == (in_window < limit.quota)
        assert verdict.remaining == max(limit.quota - in_window - 1, 0)
        if verdict.allowed:
            taken.append(now)
    for start in taken:
        assert sum(1 for at in taken if start <= at < start + limit.window) <= limit.quota


@given(limit=limits, gaps=gaps)
def test_whoever_waits_as_told_passes_and_no_whole_second_earlier(
    limit: Limit, gaps: list[int]
) -> None:
    now, taken = NOW, list[int]()
    for gap in gaps:
        now += gap
        verdict = ask(limit, taken, now)
        if verdict.allowed:
            taken.append(now)
            continue
        assert ask(limit, taken, now + verdict.reset_seconds * 1000).allowed
        for seconds in range(verdict.reset_seconds):
            assert not ask(limit, taken, now + seconds * 1000).allowed


@given(limit=limits, gaps=gaps)
def test_refused_attempts_never_make_the_wait_longer(limit: Limit, gaps: list[int]) -> None:
    taken = [NOW] * limit.quota
    free_at = NOW + limit.window
    now = NOW
    for gap in gaps:
        now += gap
        verdict = ask(limit, taken, now)
        if verdict.allowed:
            assert now >= free_at
        else:
            assert now + verdict.reset_seconds * 1000 < free_at + 1000
