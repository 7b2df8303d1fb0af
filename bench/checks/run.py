"""`python -m bench checks`: all rows, their tables, the picture, and where they are kept."""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from bench import report
from bench.checks import others, plan, scale, wrk
from bench.checks.chart import Bar, bar_chart
from bench.checks.dataset import dataset
from bench.checks.requests import AT_COST, CHECKS
from bench.checks.statements import Statement, statements_table
from bench.machine import describe
from bench.suite import Figures, take_turns

PAGE, PICTURE = "checks.md", "checks.svg"
CAPTION = "Checks a second, of one server on one core"


def main(folder: Path, build: Path, docs: Path, arguments: argparse.Namespace) -> None:
    """Run, print, keep; ends with status 1 where credits were lost or doubled."""
    load, machine = wrk.version(), describe(build)
    if arguments.scale:
        scale.main(folder, build, docs, arguments.quick, arguments.write_docs)
        return
    rounds, seconds = (2, 1) if arguments.quick else (5, 3)
    figures, planned, credits_paid = measure(folder, build, arguments, rounds, seconds)
    notes = [
        *planned.missing,
        *(f"{line}{'' if good else ': WRONG'}." for line, good in credits_paid),
    ]
    head = (
        f"{report.machine_line(machine)} {load}, {wrk.CONNECTIONS} connections. "
        f"{plan.AGENTS:,} agents. Medians of {rounds} rounds of {seconds} s."
    )
    text = tables(figures, planned.statements, [head, *notes])
    kept = as_data(figures, planned.statements, machine, notes)
    (build / "checks.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    print(text)
    if arguments.write_docs:
        report.write_into(docs / PAGE, "checks", f"![{CAPTION}]({PICTURE})\n\n{text}")
        (docs / PICTURE).write_text(picture(figures))
    if not all(good for _, good in credits_paid):
        sys.exit("Credits were lost or doubled.")


def measure(
    folder: Path, build: Path, arguments: argparse.Namespace, rounds: int, seconds: float
) -> tuple[Figures, plan.Plan, list[tuple[str, bool]]]:
    """The figures, what was planned, and what the account of the credits says."""
    _say(f"{plan.AGENTS:,} agents: made where they are missing, about two minutes")
    data = dataset(build / "checks", plan.AGENTS)
    groups = arguments.only or plan.GROUPS
    with contextlib.ExitStack() as stack:
        planned = stack.enter_context(plan.planned(folder, data, groups))
        if "peers" in groups:
            wanted = others.known() if arguments.peers else others.installed(others.known(), build)
            if not wanted:
                planned.missing.append("No peer is installed (--peers does it): none is compared.")
            others.add_peers(planned, stack, wanted, build, folder, plan.AGENTS)
        for line in planned.missing:
            _say(line)
        figures = take_turns(planned.measurements, rounds=rounds, seconds=seconds, progress=_say)
        return figures, planned, planned.account.findings(seconds) if planned.account else []


def tables(figures: Figures, statements: list[Statement], lines: list[str]) -> str:
    """All there is to show of a run, as Markdown."""
    parts = [
        *lines,
        statements_table(figures, statements),
        report.measurements(figures),
    ]
    return "\n\n".join(parts)


def picture(figures: Figures) -> str:
    """The limits, the product's checks and the others, as bars."""
    ours = [plan.row_name(check, path) for check in (*CHECKS, AT_COST) for path in plan.PATHS]
    wanted = [
        *((name, "limit") for name in (plan.NGINX, plan.BARE)),
        *((name, "ours") for name in ours),
        *((name, "peer") for name in figures.rounds if name.endswith(plan.PEER)),
    ]
    bars: list[Bar] = [
        (name, figures.spread(name, "rate").median, whose)
        for name, whose in wanted
        if name in figures.rounds
    ]
    return bar_chart(CAPTION, bars)


def as_data(
    figures: Figures, statements: list[Statement], machine: dict[str, str], lines: list[str]
) -> dict[str, Any]:
    """Every round of everything, and what became of each statement."""
    return {
        **report.as_data(figures, [], machine),
        "statements": [
            {
                "name": statement.name,
                "target": statement.target,
                "measured": spread.median if (spread := statement.spread(figures)) else None,
                "verdict": statement.verdict(figures),
            }
            for statement in statements
        ],
        "notes": lines,
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
