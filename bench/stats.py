"""The arithmetic of the measurements: numbers in, numbers out; no clock and no files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance


@dataclass(frozen=True)
class Spread:
    """What repeated rounds of one measurement gave: the middle one and the extremes."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> "Spread":
        """The spread of at least one round."""
        return cls(median(rounds), min(rounds), max(rounds))


@dataclass(frozen=True)
class Comparison:
    """Welch's test of two groups of samples, in the samples' own unit."""

    t: float
    difference: float
    """The mean of the first group minus the mean of the second."""
    detectable: float
    """The smallest difference of means that would have reached |t| = 4.5 with this noise."""


THRESHOLD = 4.5


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least `share` of them do not exceed."""
    if not ordered:
        raise ValueError("No values.")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def welch(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Welch's t for a difference of means, without assuming equal variances."""
    error = math.sqrt(variance(first) / len(first) + variance(second) / len(second))
    difference = fmean(first) - fmean(second)
    t = difference / error if error else math.copysign(math.inf, difference) if difference else 0.0
    return Comparison(t, difference, THRESHOLD * error)


def crop_thresholds(pooled: Sequence[float], count: int = 100) -> list[float]:
    """dudect's cropping points: percentiles of all samples, closer together near the top."""
    ordered = sorted(pooled)
    shares = [1 - 0.5 ** (10 * (step + 1) / count) for step in range(count)]
    return [percentile(ordered, share) for share in shares]


def worst_cropped(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """The comparison with the largest |t| among those of the samples below each cropping point.

    Slow outliers hide small differences in the mean; dudect drops them at many points and takes
    the worst. A hundred looks find more by chance than one does, so this is secondary evidence.
    """
    worst = welch(first, second)
    for limit in crop_thresholds([*first, *second]):
        kept_first = [value for value in first if value < limit]
        kept_second = [value for value in second if value < limit]
        if min(len(kept_first), len(kept_second)) < 100:
            continue
        worst = max(worst, welch(kept_first, kept_second), key=lambda found: abs(found.t))
    return worst
