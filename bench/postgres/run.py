"""`python -m bench postgres`: all rows, their tables, and where they are kept."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench import report
from bench.checks import wrk
from bench.checks.run import as_data
from bench.checks.statements import statements_table
from bench.machine import describe
from bench.postgres import plan
from bench.postgres.dataset import SETTINGS, Size, dataset, sizes
from bench.postgres.plan import Plan
from bench.suite import Figures, take_turns

TABLES = ("agents", "retired", "receipts", "audit")
COSTS = ["each answer costs PostgreSQL", "µs of processor", "bytes of WAL"]
SIZES = ["table", "rows", "bytes a row", "of it indexes"]


def main(folder: Path, build: Path, docs: Path, arguments: argparse.Namespace) -> None:
    """Run, print, keep."""
    load, machine = wrk.version(), describe(build)
    rounds, seconds = (2, 1) if arguments.quick else (5, 3)
    groups = arguments.only or plan.GROUPS
    _say(f"{plan.AGENTS:,} agents: made where they are missing, about three minutes")
    with dataset(build, plan.AGENTS) as data:
        version = data.cluster.run("SHOW server_version")[0][0]
        with data.copy() as url:
            with plan.planned(folder, data, url, groups) as planned:
                figures = take_turns(
                    planned.measurements, rounds=rounds, seconds=seconds, progress=_say
                )
            found = sizes(url, TABLES)
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    head = (
        f"{report.machine_line(machine)} PostgreSQL {version}, {settings}. {load}. "
        f"{plan.AGENTS:,} agents. Medians of {rounds} rounds of {seconds} s."
    )
    text = tables(figures, planned, found, head)
    kept = {
        **as_data(figures, list(plan.STATEMENTS), machine, [head]),
        "costs": {name: asdict(cost) for name, cost in planned.costs.items()},
        "sizes": [asdict(size) for size in found],
    }
    (build / "postgres.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    print(text)
    if arguments.write_docs:
        report.write_into(docs / "scaling.md", "postgres", text)


def tables(figures: Figures, planned: Plan, found: list[Size], head: str) -> str:
    """All there is to show of a run, as Markdown."""
    costs = [
        [name, f"{median(cost.microseconds):,.0f}", f"{median(cost.wal_bytes):,.0f}"]
        for name in figures.rounds
        if (cost := planned.costs.get(name))
    ]
    rows = [[it.table, f"{it.rows:,}", f"{it.each:,.0f}", f"{it.indexes:,.0f}"] for it in found]
    return "\n\n".join(
        [
            head,
            statements_table(figures, plan.STATEMENTS),
            report.measurements(figures),
            report.table([COSTS, *costs]),
            report.table([SIZES, *rows]),
        ]
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
