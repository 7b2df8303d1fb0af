"""Breaks each row of the rotation's decision table, and shows which test notices.

python tools/break_each_row.py [TESTS]: exits 1 when any breakage leaves every test green. The
tests are collected once; each breakage puts a broken table in the product's place, in memory, and
runs them until one is red. No two neighbouring rows have the same answer, and any two neighbours
can apply at once, so that there is no breakage here that nobody could notice.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from keyturn.core import rotation
from keyturn.core.rotation import ROTATION_ROWS, Facts, Row

TESTS = Path(__file__).parents[1] / "tests/core/test_rotation_rows.py"
# No settings and no plugins of the project's: the tests need none, and it starts sooner.
ALONE = ["-c", os.devnull, "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:terminal"]

Table = tuple[Row, ...]


@dataclass(frozen=True)
class Breakage:
    """One way to break a row: what was done, and the table that came of it."""

    row: str
    what: str
    rows: Table


def breakages(rows: Table) -> Iterator[Breakage]:
    """Every breakage of every row."""
    answers = {row.outcome: None for row in rows}
    for place, row in enumerate(rows):
        before, after = rows[:place], rows[place + 1 :]
        yield Breakage(row.number, "removed", before + after)
        yield Breakage(row.number, "never applies", (*before, replace(row, applies=never), *after))
        yield Breakage(
            row.number, "always applies", (*before, replace(row, applies=always), *after)
        )
        yield Breakage(row.number, "negated", (*before, negated(row), *after))
        for answer in answers:
            if answer is not row.outcome:
                broken = (*before, replace(row, outcome=answer), *after)
                yield Breakage(row.number, f"answers {answer.__name__}", broken)
        if after:
            swapped = (*before, after[0], row, *after[1:])
            yield Breakage(row.number, f"swapped with row {after[0].number}", swapped)
        if len(after) > 1:
            yield Breakage(row.number, "moved to the end", (*before, *after, row))


def never(_facts: Facts) -> bool:
    return False


def always(_facts: Facts) -> bool:
    return True


def negated(row: Row) -> Row:
    return replace(row, applies=lambda facts: not row.applies(facts))


class Breaker:
    """A pytest plugin that runs what was collected once for each breakage."""

    def __init__(self) -> None:
        self.red_before: list[str] = []
        """Tests that are red although nothing is broken."""
        self.noticed: list[tuple[Breakage, str | None]] = []
        """Each breakage, and the first test that it turns red."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            if is_red(item):
                self.red_before.append(item.name)
        if not self.red_before:
            for breakage in breakages(ROTATION_ROWS):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(rotation, "ROTATION_ROWS", breakage.rows)
                    red = next((item.name for item in session.items if is_red(item)), None)
                self.noticed.append((breakage, red))
        return True


def is_red(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False))


def main(tests: Path = TESTS) -> int:
    """Try every breakage and print a table. 0 when a test notices each of them."""
    breaker = Breaker()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*ALONE, str(tests)], plugins=[breaker])
    if breaker.red_before or not breaker.noticed:
        print("These tests must be green before anything is broken:", *breaker.red_before)
        return 1
    for breakage, red in breaker.noticed:
        print(f"row {breakage.row:<3} {breakage.what:<34} {red or 'NOBODY NOTICES'}")
    unnoticed = sum(1 for _, red in breaker.noticed if red is None)
    print(f"{len(breaker.noticed)} breakages, {unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
