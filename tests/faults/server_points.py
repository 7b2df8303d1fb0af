"""A server that dies, or whose disk fails, at every write and fsync of one rotation."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .client_process import AGAIN, DONE
from .injection import traced
from .outcome import Outcome
from .reviver import Reviver
from .scene import HEALTHY, HOUSEKEEPING, Cast, Scene, campaign
from .storage import FSYNCS, WRITES

RUNS = 1
CALLS = f"{WRITES},{FSYNCS}"
FAULTS = (("signal=KILL", ""), ("error=EIO", ""), ("error=ENOSPC", ""), ("error=ENOSPC", "+"))
"""What befalls a call, and whether all later ones as well: a disk that is full stays so."""
FILES = ("keyturn.db", "keyturn.db-wal", "limits.db", "limits.db-wal")
_CALL = re.compile(r"^(\d+) +(\w+)\(\d+<[^>]*/([^/>]+)>", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """One write or fsync of a thread on one file, and what befalls it."""

    file: str
    call: str
    when: str
    fault: str

    def __str__(self) -> str:
        return f"{self.fault} at the server's {self.call} {self.when} on {self.file}"

    def options(self, data_dir: Path) -> tuple[str, ...]:
        inject = f"inject={self.call}:{self.fault}:when={self.when}"
        return "-P", str(data_dir / self.file), "-e", f"trace={self.call}", "-e", inject


def run(runs: int, seed: int, *, sample: int | None = None, cast: Cast = HEALTHY) -> Outcome:
    """Strike every point `runs` times, or `sample` of them, in another order each time."""
    return campaign(_points, _strike, runs, seed, sample=sample, cast=cast)


def _points(scene: Scene) -> list[Point]:
    """What can befall one rotation: the writes and fsyncs that an undisturbed one makes."""
    subject = scene.new_subject()
    data_dir = scene.server.data_dir
    files = [option for file in FILES for option in ("-P", str(data_dir / file))]
    with traced(scene.server.pid, *files, "-y", "-e", f"trace={CALLS}") as log:
        code = scene.clients.call("rotate", subject.path)
        answered = _calls(log)
        # What is written when the new key's first use is noticed belongs to it.
        time.sleep(HOUSEKEEPING)
        calls = _calls(log)
    scene.outcome.check(code == DONE, f"a rotation without a fault ended with {code}")
    synced = any(call in FSYNCS.split(",") for _, call, _ in answered)
    scene.outcome.check(synced, "a rotation was answered, and nothing had been fsynced")
    scene.struck(subject, "no fault")
    most: dict[tuple[str, str], int] = {}
    for (_, call, file), count in Counter(calls).items():
        most[file, call] = max(count, most.get((file, call), 0))
    return [
        Point(file, call, f"{number}{lasting}", fault)
        for (file, call), count in most.items()
        for number in range(1, count + 1)
        for fault, lasting in FAULTS
    ]


def _calls(log: Path) -> list[tuple[str, str, str]]:
    """The thread, the name and the file of every call."""
    return [(it[1], it[2], it[3]) for it in _CALL.finditer(log.read_text())]


def _strike(scene: Scene, point: Point) -> None:
    subject = scene.new_subject()
    # Some clients live to see the server come back, others are run again later.
    waits = not point.when.endswith("+") and scene.choice.random() < 0.5
    with (
        traced(scene.server.pid, *point.options(scene.server.data_dir)) as log,
        Reviver(scene.server) as reviver,
    ):
        scene.clients.start("rotate", subject.path, patience=20.0 if waits else 0.3)
        code = scene.clients.finish()
        deadline = time.monotonic() + HOUSEKEEPING
        while not (struck := _struck(log, reviver)) and time.monotonic() < deadline:
            time.sleep(0.01)
        if struck and point.call in FSYNCS.split(","):
            # It ends, but not before it has answered everybody.
            time.sleep(2 * HOUSEKEEPING)
    scene.outcome.note("servers started again", reviver.times)
    scene.outcome.note("points that were reached", int(struck))
    allowed = {DONE} if waits else {DONE, AGAIN}
    scene.outcome.check(code in allowed, f"{point}: LOCKED OUT, the client ended with {code}")
    scene.struck(subject, point)


def _struck(log: Path, reviver: Reviver) -> bool:
    return reviver.times > 0 or "(INJECTED)" in log.read_text()
