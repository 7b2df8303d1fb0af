"""What a campaign found."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """How much was tried (`runs`), how much of it was checked (`points`), and what was wrong.

    No violation's text may hold a credential: it ends in a terminal and in a report.
    """

    runs: int = 0
    points: int = 0
    violations: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def check(self, holds: bool, violation: str) -> bool:
        """Count one point, and the violation if the point does not hold."""
        self.points += 1
        if not holds:
            self.violations.append(violation)
        return holds

    def note(self, what: str, count: int = 1) -> None:
        """Count something that shows how hard the campaign tried, such as servers killed."""
        self.notes[what] = self.notes.get(what, 0) + count

    def include(self, other: "Outcome") -> None:
        """Add what a part of the campaign found."""
        self.runs += other.runs
        self.points += other.points
        self.violations += other.violations
        for what, count in other.notes.items():
            self.note(what, count)
