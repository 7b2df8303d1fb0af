"""The comparison of samples, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median
from typing import Any

from bench.report import table
from bench.stats import THRESHOLD, Comparison, percentile, welch, worst_cropped

HEAD_TIMES = ["refused", "samples", "median µs", "mean µs", "p99 µs"]
HEAD_PAIRS = ["pair", "difference µs", "t", "detectable µs", "worst cropped t", "verdict"]


@dataclass(frozen=True)
class Samples:
    """What one run took: for each contender its name and its microseconds."""

    title: str
    names: list[str]
    times: list[list[float]]
    different: tuple[str, ...] = ()
    """Contenders that differ from the rest by intent: the run must find them."""


@dataclass(frozen=True)
class Pair:
    """Two contenders compared."""

    first: str
    second: str
    whole: Comparison
    cropped: Comparison
    different: bool

    @property
    def told_apart(self) -> bool:
        """Whether the means differ by more than chance explains."""
        return abs(self.whole.t) >= THRESHOLD

    @property
    def as_expected(self) -> bool:
        """Whether a difference was found where one is, and none where none may be."""
        return self.told_apart == self.different


def compare(samples: Samples) -> list[Pair]:
    """Every pair of a run's contenders."""
    named = list(zip(samples.names, samples.times, strict=True))
    return [
        Pair(
            first=one,
            second=other,
            whole=welch(times, others),
            cropped=worst_cropped(times, others),
            different=(one in samples.different) != (other in samples.different),
        )
        for (one, times), (other, others) in combinations(named, 2)
    ]


def markdown(samples: Samples, pairs: Sequence[Pair]) -> str:
    """A run as two tables under its title."""
    times = [
        [name, str(len(took)), f"{median(took):.1f}", f"{fmean(took):.1f}", f"{_p99(took):.1f}"]
        for name, took in zip(samples.names, samples.times, strict=True)
    ]
    compared = [
        [
            f"{pair.first} − {pair.second}",
            f"{pair.whole.difference:+.2f}",
            f"{pair.whole.t:+.2f}",
            f"{pair.whole.detectable:.2f}",
            f"{pair.cropped.t:+.2f}",
            _verdict(pair),
        ]
        for pair in pairs
    ]
    return "\n\n".join(
        [f"**{samples.title}**", table([HEAD_TIMES, *times]), table([HEAD_PAIRS, *compared])]
    )


def as_data(samples: Samples, pairs: Sequence[Pair]) -> dict[str, Any]:
    """A run for `build/timing.json`."""
    return {
        "title": samples.title,
        "medians": {
            name: median(took) for name, took in zip(samples.names, samples.times, strict=True)
        },
        "pairs": [
            {
                "pair": [pair.first, pair.second],
                "t": pair.whole.t,
                "difference": pair.whole.difference,
                "detectable": pair.whole.detectable,
                "croppedT": pair.cropped.t,
                "asExpected": pair.as_expected,
            }
            for pair in pairs
        ],
    }


def _verdict(pair: Pair) -> str:
    found = "told apart" if pair.told_apart else "not told apart"
    return found if pair.as_expected else f"{found} (!)"


def _p99(took: Sequence[float]) -> float:
    return percentile(sorted(took), 0.99)
