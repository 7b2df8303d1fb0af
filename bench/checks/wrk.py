"""The load: wrk with one thread on the load's core, and what it saw."""

import json
import resource
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.checks.requests import Answer
from bench.machine import cores, cpu_seconds, pinned
from bench.servers import Running
from bench.suite import Outcome

CONNECTIONS = 64
TIMEOUT = "30s"
"""Long, so that a slow answer is seen as one and not as an error."""
SCRIPT = Path(__file__).with_name("check.lua")
ERRORS = ("wrong", "connect", "read", "write", "timeout")


@dataclass(frozen=True)
class Load:
    """Requests for one server, and the answer that each of them must get."""

    server: Running
    requests: Path
    answer: Answer
    connections: int = CONNECTIONS


@dataclass(frozen=True)
class Run:
    """One run of wrk: how many answers were good, and when it was."""

    good: int
    outcome: Outcome
    begin: int
    end: int
    """Of `time.perf_counter_ns`, which all processes of a machine share."""


def version() -> str:
    """The version of wrk.

    Raises:
        SystemExit: there is no wrk.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (apt-get install wrk): nothing is measured.")
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return " ".join(told.stdout.split()[:2])


def drive(load: Load, seconds: int) -> Run:
    """Send for that long, without a pause on any connection.

    Raises:
        RuntimeError: wrk ended without its figures; the message has what it printed.
    """
    _, core = cores()
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", TIMEOUT]
    seed = str(secrets.randbits(31))
    arguments = [str(load.requests), str(load.answer.status), load.answer.text, seed]
    begin, theirs, ours = time.perf_counter_ns(), cpu_seconds(load.server.pid), _children()
    with pinned({core}):
        done = subprocess.run(
            [*command, "-s", str(SCRIPT), f"http://127.0.0.1:{load.server.port}", "--", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    end = time.perf_counter_ns()
    passed = (end - begin) / 1e9
    found = parse(done.stdout, done.stderr)
    outcome = outcome_of(
        found,
        load_busy=(_children() - ours) / passed,
        server_busy=(cpu_seconds(load.server.pid) - theirs) / passed,
    )
    return Run(found["good"], outcome, begin, end)


def parse(printed: str, complaint: str = "") -> dict[str, int]:
    """The figures on the last line that `check.lua` prints.

    Raises:
        RuntimeError: there are none.
    """
    _, _, last = printed.strip().rpartition("\n")
    if not last.startswith("{"):
        raise RuntimeError(f"wrk gave no figures: {complaint or printed}")
    found: dict[str, int] = json.loads(last)
    return found


def outcome_of(found: dict[str, int], *, load_busy: float, server_busy: float) -> Outcome:
    """Good answers a second, times in milliseconds, and everything else as an error."""
    return Outcome(
        rate=found["good"] / (found["duration"] / 1e6),
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        errors=sum(found[kind] for kind in ERRORS),
        load_busy=load_busy,
        server_busy=server_busy,
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
