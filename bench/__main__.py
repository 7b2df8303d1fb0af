"""What rotations and checks cost beside what the machine can do, and what refusals tell by time.

    python -m bench [--quick] [--only GROUP]… [--write-docs]
    python -m bench checks [--quick] [--only GROUP]… [--peers | --scale] [--write-docs]
    python -m bench postgres [--quick] [--only GROUP]… [--write-docs]
    python -m bench dashboard [--write-docs]
    python -m bench timing [--quick] [--write-docs]

docs/performance.md, docs/checks.md, docs/scaling.md, docs/dashboard.md and docs/timing.md
say what is measured and what that is worth.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import plan, report
from bench.checks import plan as checks_plan
from bench.checks import run as checks
from bench.dashboard import run as dashboard
from bench.machine import describe
from bench.postgres import plan as postgres_plan
from bench.postgres import run as postgres
from bench.suite import Figures, take_turns
from bench.timing import run as timing

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
GROUPS = {"rates": plan.GROUPS, "checks": checks_plan.GROUPS, "postgres": postgres_plan.GROUPS}


def main() -> None:
    """Read the command line and run what it asks for."""
    arguments = _arguments()
    BUILD.mkdir(exist_ok=True)
    # Not the system's temporary folder: where that is in memory, fsync costs nothing.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as name:
        if arguments.what == "checks":
            checks.main(Path(name), BUILD, ROOT / "docs", arguments)
        elif arguments.what == "postgres":
            postgres.main(Path(name), BUILD, ROOT / "docs", arguments)
        elif arguments.what == "dashboard":
            dashboard.main(Path(name), BUILD, ROOT / "docs", arguments.write_docs)
        elif arguments.what == "timing":
            timing.main(Path(name), BUILD, ROOT / "docs", arguments.quick, arguments.write_docs)
        else:
            rates(Path(name), arguments)


def rates(folder: Path, arguments: argparse.Namespace) -> None:
    """Measure, print the tables, and keep them."""
    machine = describe(folder)
    groups = arguments.only or plan.GROUPS
    rounds, seconds = (2, 0.6) if arguments.quick else (5, 2.0)
    with plan.measurements(folder, groups) as measurements:
        figures = take_turns(measurements, rounds=rounds, seconds=seconds, progress=_say)
    text = tables(figures, machine, rounds, seconds)
    (BUILD / "bench.json").write_text(report.as_json(figures, plan.RATIOS, machine))
    print(text)
    if arguments.write_docs:
        report.write_into(ROOT / "docs" / "performance.md", "bench", text)


def tables(figures: Figures, machine: dict[str, str], rounds: int, seconds: float) -> str:
    """All there is to show of a run, as Markdown."""
    parts = [
        f"{report.machine_line(machine)} Medians of {rounds} rounds of {seconds:g} s.",
        report.measurements(figures),
        report.ratios(figures, plan.RATIOS),
    ]
    return "\n\n".join(part for part in parts if part)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parts = ["rates", "checks", "postgres", "dashboard", "timing"]
    parser.add_argument("what", nargs="?", choices=parts, default="rates")
    parser.add_argument("--quick", action="store_true", help="a rough answer in half a minute")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help=_groups())
    parser.add_argument("--peers", action="store_true", help="checks: install the peers too")
    parser.add_argument("--scale", action="store_true", help="checks: of up to 10,000,000 agents")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(GROUPS.get(arguments.what, ())):
        parser.error(f"{arguments.what} has no group {min(unknown)}: {_groups()}")
    return arguments


def _groups() -> str:
    return "; ".join(f"{what}: {', '.join(groups)}" for what, groups in GROUPS.items())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
