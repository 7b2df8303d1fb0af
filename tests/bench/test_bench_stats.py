"""The arithmetic of the measurements."""

import random

import pytest

from bench.stats import Spread, crop_thresholds, percentile, welch, worst_cropped


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.505, 51), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_this_share_does_not_exceed(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="No values"):
        percentile([], 0.5)


def test_a_spread_names_the_middle_and_both_ends() -> None:
    assert Spread.of([5, 1, 3]) == Spread(median=3, low=1, high=5)


def test_welch_agrees_with_a_worked_example() -> None:
    # The first example of Wikipedia's page on Welch's t-test.
    first = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7]
    second = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5]
    first.append(21.4)
    second.append(24.4)
    found = welch(first, second)
    assert found.t == pytest.approx(-2.46, abs=0.005)
    assert found.difference == pytest.approx(-2.167, abs=0.001)


def test_the_detectable_difference_is_the_one_that_reaches_the_threshold() -> None:
    found = welch([1.0, 2.0, 3.0], [4.0, 5.0, 7.0])
    assert abs(found.difference) / found.detectable == pytest.approx(abs(found.t) / 4.5)


def test_equal_samples_without_noise_have_no_difference() -> None:
    assert welch([2.0, 2.0], [2.0, 2.0]).t == 0


def test_a_difference_without_noise_is_beyond_any_threshold() -> None:
    assert welch([1.0, 1.0], [2.0, 2.0]).t == float("-inf")


def test_cropping_points_rise_and_crowd_near_the_top() -> None:
    limits = crop_thresholds(range(1000))
    assert limits == sorted(limits)
    assert len(limits) == 100
    assert limits[49] > 950


def test_cropping_finds_a_difference_that_outliers_hide() -> None:
    dice = random.Random(7)
    first = [dice.gauss(100, 5) + (5_000_000 if dice.random() < 0.01 else 0) for _ in range(3000)]
    second = [dice.gauss(102, 5) + (5_000_000 if dice.random() < 0.01 else 0) for _ in range(3000)]
    assert abs(welch(first, second).t) < 4.5
    assert abs(worst_cropped(first, second).t) > 4.5


def test_cropping_finds_nothing_between_samples_of_one_kind() -> None:
    dice = random.Random(8)
    first, second = ([dice.gauss(100, 5) for _ in range(3000)] for _ in range(2))
    assert abs(worst_cropped(first, second).t) < 4.5
