"""Measurements run in turns: every round runs each of them once, in an order of its own.

Whatever else the machine does then falls on all of them alike, and a ratio is taken within a round.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.load import Sample
from bench.stats import Spread, percentile


@dataclass(frozen=True)
class Outcome:
    """One round of one measurement; times in milliseconds."""

    rate: float
    p50: float
    p99: float
    errors: int = 0
    load_busy: float | None = None
    server_busy: float | None = None
    rotations: float | None = None
    """Rotations a second that happened meanwhile, where some should."""
    rotator_busy: float | None = None

    @classmethod
    def of_times(cls, took: Sequence[int], seconds: float, *, each: int = 1) -> "Outcome":
        """From the nanoseconds that each of several commits took, `each` rows in every one."""
        ordered = sorted(took)
        return cls(
            rate=len(ordered) * each / seconds,
            p50=percentile(ordered, 0.50) / 1e6,
            p99=percentile(ordered, 0.99) / 1e6,
        )

    @classmethod
    def of_load(cls, sample: Sample) -> "Outcome":
        """From what the load generator saw; without one good answer the times are zero."""
        ordered = sorted(sample.latencies) or [0]
        return cls(
            rate=sample.rate,
            p50=percentile(ordered, 0.50) / 1e6,
            p99=percentile(ordered, 0.99) / 1e6,
            errors=sample.errors,
            load_busy=sample.load_busy,
            server_busy=sample.server_busy,
        )


@dataclass(frozen=True)
class Measurement:
    """Something to measure: `run` takes the seconds to spend."""

    name: str
    run: Callable[[float], Outcome]


@dataclass(frozen=True)
class Ratio:
    """One measurement's rate, or another value, as a share of another's, within each round."""

    name: str
    of: str
    to: str
    value: str = "rate"


@dataclass
class Figures:
    """All rounds of all measurements, by name."""

    rounds: dict[str, list[Outcome]] = field(default_factory=dict)

    def spread(self, name: str, value: str) -> Spread:
        """The spread of one value (`rate`, `p50`, …) of a measurement."""
        return Spread.of([getattr(outcome, value) for outcome in self.rounds[name]])

    def ratio(self, wanted: Ratio) -> Spread | None:
        """The spread of a ratio, or None where one was not measured or gave nothing."""
        if wanted.of not in self.rounds or wanted.to not in self.rounds:
            return None
        sides = (self.rounds[name] for name in (wanted.of, wanted.to))
        ones, others = ([getattr(outcome, wanted.value) for outcome in side] for side in sides)
        if not (all(ones) and all(others)):
            return None
        return Spread.of([one / other for one, other in zip(ones, others, strict=True)])


def take_turns(
    measurements: Sequence[Measurement],
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    seed: int = 1,
) -> Figures:
    """Run every measurement once in each round, shuffled anew for each."""
    figures = Figures({measurement.name: [] for measurement in measurements})
    order, dice = list(measurements), random.Random(seed)
    for number in range(1, rounds + 1):
        dice.shuffle(order)
        for measurement in order:
            outcome = measurement.run(seconds)
            figures.rounds[measurement.name].append(outcome)
            progress(f"round {number}/{rounds}  {measurement.name}: {outcome.rate:,.0f} a second")
    return figures
