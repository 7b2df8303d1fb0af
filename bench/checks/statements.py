"""What the product says of its checks, as numbers that a run confirms or not."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.report import table
from bench.stats import Spread
from bench.suite import Figures, Ratio

HEAD = ["statement", "target", "measured", "lowest–highest", ""]


@dataclass(frozen=True)
class Statement:
    """A ratio within a round, or a rate by itself, and the least or most that it should be."""

    measured: Ratio | str
    target: float
    at_least: bool = True

    @property
    def name(self) -> str:
        return self.measured if isinstance(self.measured, str) else self.measured.name

    def spread(self, figures: Figures) -> Spread | None:
        """What was measured, or None where it was not."""
        if isinstance(self.measured, Ratio):
            return figures.ratio(self.measured)
        return figures.spread(self.measured, "rate") if self.measured in figures.rounds else None

    def verdict(self, figures: Figures) -> str:
        """Whether the median reaches the target; errors on either side are told with it."""
        spread = self.spread(figures)
        if spread is None:
            return "not measured"
        met = spread.median >= self.target if self.at_least else spread.median <= self.target
        return ("met" if met else "MISSED") + (", with errors" if self._errors(figures) else "")

    def row(self, figures: Figures) -> list[str]:
        """Target beside measured."""
        form = ".2f" if isinstance(self.measured, Ratio) else ",.0f"
        spread = self.spread(figures)
        name = self.name if isinstance(self.measured, Ratio) else f"{self.name}, a second"
        shown = ["", ""]
        if spread:
            shown = [f"{spread.median:{form}}", f"{spread.low:{form}}–{spread.high:{form}}"]
        return [
            name,
            f"{'≥' if self.at_least else '≤'} {self.target:{form}}",
            *shown,
            self.verdict(figures),
        ]

    def _errors(self, figures: Figures) -> int:
        ratio = self.measured
        sides = (ratio.of, ratio.to) if isinstance(ratio, Ratio) else (ratio,)
        return sum(outcome.errors for side in sides for outcome in figures.rounds[side])


def statements_table(figures: Figures, statements: Iterable[Statement]) -> str:
    """All of them, those that were missed or not measured too."""
    return table([HEAD, *(statement.row(figures) for statement in statements)])
