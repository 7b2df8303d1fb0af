"""The command: `python -m tests.faults [NAME] [--runs N] [--seed S]`.

Runs the campaigns long, writes build/faults.json, prints a table, and ends with 1 if anything
was violated.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import (
    canary,
    chaos,
    client_cuts,
    client_points,
    dead_at_once,
    dead_checks,
    failover,
    histories,
    history_bugs,
    kill,
    moves,
    power_cut,
    race,
    restores,
    schema,
    seeded_bugs,
    server_points,
    stateful,
    storage,
    wire_points,
)
from .outcome import Outcome

REPORT = Path("build/faults.json")
CAMPAIGNS: dict[str, tuple[Callable[[int, int], Outcome], int]] = {
    "race": (race.run, race.RUNS),
    "dead-at-once": (dead_at_once.run, dead_at_once.RUNS),
    "dead-checks": (dead_checks.run, dead_checks.RUNS),
    "histories": (histories.run, histories.RUNS),
    "history-bugs": (history_bugs.run, history_bugs.RUNS),
    "kill": (kill.run, kill.RUNS),
    "power-cut": (power_cut.run, power_cut.RUNS),
    "storage": (storage.run, storage.RUNS),
    "restores": (restores.run, restores.RUNS),
    "failover": (failover.run, failover.RUNS),
    "moves": (moves.run, moves.RUNS),
    "canary": (canary.run, canary.RUNS),
    "stateful": (stateful.run, stateful.RUNS),
    "schema": (schema.run, schema.RUNS),
    "client-points": (client_points.run, client_points.RUNS),
    "server-points": (server_points.run, server_points.RUNS),
    "client-cuts": (client_cuts.run, client_cuts.RUNS),
    "wire-points": (wire_points.run, wire_points.RUNS),
    "seeded-bugs": (seeded_bugs.run, seeded_bugs.RUNS),
    "chaos": (chaos.run, chaos.RUNS),
}
SHOWN = 10
"""Violations that are printed of each campaign; the report has all."""


def main() -> int:
    """Run what was asked for and report it; 1 if anything was violated."""
    arguments = _arguments()
    names = [arguments.name] if arguments.name else list(CAMPAIGNS)
    report: dict[str, object] = {}
    violated = False
    print(f"{'campaign':<14}{'runs':>8}{'points':>10}{'violations':>12}{'seconds':>9}", flush=True)
    for name in names:
        campaign, runs = CAMPAIGNS[name]
        started = time.monotonic()
        outcome = _complete(campaign, arguments.runs or runs, arguments.seed)
        seconds = time.monotonic() - started
        _print(name, outcome, seconds)
        report[name] = {**asdict(outcome), "seed": arguments.seed, "seconds": round(seconds, 1)}
        violated = violated or bool(outcome.violations)
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if violated else 0


def _complete(campaign: Callable[[int, int], Outcome], runs: int, seed: int) -> Outcome:
    """What the campaign found; a campaign that can't go on is a violation, not the end of all."""
    try:
        return campaign(runs, seed)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Outcome(violations=[f"the campaign broke off: {reason}"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", nargs="?", choices=CAMPAIGNS, help="one campaign; default: all")
    parser.add_argument("--runs", type=int, help="how often; default: the campaign's own number")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _print(name: str, outcome: Outcome, seconds: float) -> None:
    found = len(outcome.violations)
    print(f"{name:<14}{outcome.runs:>8}{outcome.points:>10}{found:>12}{seconds:>9.1f}")
    for what, count in outcome.notes.items():
        print(f"    {what}: {count}")
    for violation in outcome.violations[:SHOWN]:
        print(f"    VIOLATION {violation}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
