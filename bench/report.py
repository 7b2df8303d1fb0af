"""Figures as text: tables for people, JSON for programs, and their place in the documentation."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.stats import Spread
from bench.suite import Figures, Ratio

HEAD = ["measured", "a second", "lowest–highest", "p50 ms", "p99 ms", "errors", "server", "load"]
ROTATING = ["rotations a second", "rotator"]
"""Columns that are shown where there were rotations meanwhile."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of aligned columns; the first row is its head, numbers go to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]])


def measurements(figures: Figures) -> str:
    """One row for each measurement: medians over the rounds, and the spread of the rate."""
    rows = [[*HEAD, *ROTATING], *(_row(figures, name) for name in figures.rounds)]
    wide = any(row[-1] for row in rows[1:])
    return table(rows if wide else [row[: len(HEAD)] for row in rows])


def ratios(figures: Figures, wanted: Sequence[Ratio]) -> str:
    """One row for each ratio whose two sides were measured; empty where there is none."""
    rows = [(ratio.name, figures.ratio(ratio)) for ratio in wanted]
    known = [(name, spread) for name, spread in rows if spread]
    if not known:
        return ""
    head = ["ratio, within a round", "median", "lowest–highest"]
    return table([head, *([name, f"{s.median:.2f}", _range(s, ".2f")] for name, s in known)])


def as_json(figures: Figures, wanted: Sequence[Ratio], machine: dict[str, str]) -> str:
    """Every round of everything, for comparison with other runs."""
    return json.dumps(as_data(figures, wanted, machine), indent=2, ensure_ascii=False) + "\n"


def as_data(figures: Figures, wanted: Sequence[Ratio], machine: dict[str, str]) -> dict[str, Any]:
    """The same before it is JSON."""
    found = {ratio.name: figures.ratio(ratio) for ratio in wanted}
    return {
        "machine": machine,
        "measurements": {
            name: [asdict(outcome) for outcome in outcomes]
            for name, outcomes in figures.rounds.items()
        },
        "ratios": {name: asdict(spread) for name, spread in found.items() if spread},
    }


def machine_line(machine: dict[str, str]) -> str:
    """The machine, and how busy it was already."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"{machine['filesystem']}, Python {machine['python']}, {machine['libraries']}. "
        f"Load averages when it began: {machine['load']}."
    )


def between_markers(page: str, name: str, text: str) -> str:
    """The page with what stands between its two markers of that name replaced.

    Raises:
        ValueError: the page does not have both markers, in order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"The page lacks the markers of {name}.")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def write_into(page: Path, name: str, text: str) -> None:
    """Put text between the markers of a page of the documentation."""
    page.write_text(between_markers(page.read_text(), name, text))


def _row(figures: Figures, name: str) -> list[str]:
    outcomes = figures.rounds[name]
    rate = figures.spread(name, "rate")
    busy, rotating = ["", ""], ["", ""]
    if outcomes[0].load_busy is not None:
        busy = [f"{figures.spread(name, of).median:.2f}" for of in ("server_busy", "load_busy")]
    if outcomes[0].rotations is not None:
        medians = [figures.spread(name, of).median for of in ("rotations", "rotator_busy")]
        rotating = [f"{medians[0]:,.0f}", f"{medians[1]:.2f}"]
    return [
        name,
        f"{rate.median:,.0f}",
        _range(rate, ",.0f"),
        f"{figures.spread(name, 'p50').median:.2f}",
        f"{figures.spread(name, 'p99').median:.2f}",
        str(sum(outcome.errors for outcome in outcomes)),
        *busy,
        *rotating,
    ]


def _range(spread: Spread, form: str) -> str:
    return f"{spread.low:{form}}–{spread.high:{form}}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"
