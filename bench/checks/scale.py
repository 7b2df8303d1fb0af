"""`python -m bench checks --scale`: does it matter how many agents there are?"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import report, servers
from bench.checks import wrk
from bench.checks.dataset import Dataset, dataset
from bench.checks.plan import measurement
from bench.checks.requests import FORWARD_AUTH, forward_auth, write
from bench.checks.statements import Statement, statements_table
from bench.checks.wrk import Load
from bench.machine import describe, memory
from bench.report import table
from bench.suite import Figures, Measurement, Ratio, take_turns

SIZES = (1_000, 100_000, 1_000_000, 10_000_000)
QUICK_SIZES = SIZES[:2]
HEAD = ["agents", "bytes an agent", "start s", "memory MB", "with mapped files MB"]


@dataclass(frozen=True)
class Footprint:
    """What a server of so many agents takes."""

    agents: int
    bytes_per_agent: float
    """Of the database file: the agent's row and its indexes, no trail."""
    start_seconds: float
    own_bytes: int
    resident_bytes: int
    """With the pages of files that it has mapped, which the system may take back."""


def statements(sizes: tuple[int, ...]) -> list[Statement]:
    """The largest against the smallest."""
    largest, smallest = _name(sizes[-1]), _name(sizes[0])
    name = f"{FORWARD_AUTH.name}: {sizes[-1]:,} agents / {sizes[0]:,}"
    return [Statement(Ratio(name, largest, smallest), 0.9)]


def main(folder: Path, build: Path, docs: Path, quick: bool, write_docs: bool) -> None:
    """Run, print, keep."""
    sizes = QUICK_SIZES if quick else SIZES
    rounds, seconds = (2, 1) if quick else (5, 3)
    load, machine = wrk.version(), describe(build)
    figures, footprints = measure(folder, build, sizes, rounds, seconds)
    head = (
        f"{report.machine_line(machine)} {load}, {wrk.CONNECTIONS} connections. "
        f"Medians of {rounds} rounds of {seconds} s."
    )
    parts = [
        head,
        statements_table(figures, statements(sizes)),
        report.measurements(figures),
        footprints_table(footprints),
    ]
    text = "\n\n".join(parts)
    kept = {
        **report.as_data(figures, [], machine),
        "footprints": [asdict(footprint) for footprint in footprints],
    }
    (build / "checks-scale.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    print(text)
    if write_docs:
        report.write_into(docs / "checks.md", "scale", text)


def measure(
    folder: Path, build: Path, sizes: tuple[int, ...], rounds: int, seconds: float
) -> tuple[Figures, list[Footprint]]:
    """A server of each size at once, which take turns; then what each has come to hold."""
    with contextlib.ExitStack() as stack:
        started = []
        for agents in sizes:
            _say(f"{agents:,} agents")
            data = dataset(build / "checks", agents)
            started.append((data, *stack.enter_context(_started(data))))
        measurements = [_measurement(folder, data, running) for data, running, _ in started]
        figures = take_turns(measurements, rounds=rounds, seconds=seconds, progress=_say)
        return figures, [_footprint(data, running, took) for data, running, took in started]


def footprints_table(footprints: list[Footprint]) -> str:
    """A row for each size."""
    rows = [
        [
            f"{it.agents:,}",
            f"{it.bytes_per_agent:,.0f}",
            f"{it.start_seconds:.2f}",
            f"{it.own_bytes / 1e6:,.0f}",
            f"{it.resident_bytes / 1e6:,.0f}",
        ]
        for it in footprints
    ]
    return table([HEAD, *rows])


@contextlib.contextmanager
def _started(data: Dataset) -> Iterator[tuple[servers.Running, float]]:
    begin = time.perf_counter()
    with servers.keyturn(data.data_dir) as running:
        yield running, time.perf_counter() - begin


def _measurement(folder: Path, data: Dataset, running: servers.Running) -> Measurement:
    requests = [forward_auth(key) for key in data.keys]
    path = write(folder / f"{data.agents}.requests", requests)
    return measurement(_name(data.agents), Load(running, path, FORWARD_AUTH.good))


def _footprint(data: Dataset, running: servers.Running, took: float) -> Footprint:
    return Footprint(data.agents, data.bytes_per_agent, took, *memory(running.pid))


def _name(agents: int) -> str:
    return f"{FORWARD_AUTH.name}, {agents:,} agents"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
