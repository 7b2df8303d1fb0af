"""A client that dies, or whose disk fails, at every single system call of a rotation."""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .client_process import AGAIN, DONE, REFUSED
from .injection import traced
from .outcome import Outcome
from .scene import HEALTHY, Cast, Scene, campaign
from .subject import Subject

RUNS = 2
TRACED = "%file,%desc,%network"
DISK_ERRORS = ("error=EIO", "error=ENOSPC")
_CALL = re.compile(r"\d+ +(\w+)\((.*)")
_IN_FOLDER = re.compile(r"/agent-\d+")


@dataclass(frozen=True)
class Point:
    """One system call of a rotation, counted among those of its name, and what befalls it."""

    call: str
    when: str
    fault: str

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} {self.when}"

    @property
    def options(self) -> tuple[str, ...]:
        inject = f"inject={self.call}:{self.fault}:when={self.when}"
        return "-e", f"trace={self.call}", "-e", inject


def run(runs: int, seed: int, *, sample: int | None = None, cast: Cast = HEALTHY) -> Outcome:
    """Strike every point `runs` times, or `sample` of them, in another order each time."""
    return campaign(_points, _strike, runs, seed, sample=sample, cast=cast)


def _points(scene: Scene) -> list[Point]:
    """All that can befall one rotation, by the calls that an undisturbed one makes."""
    subject = scene.new_subject()
    calls = [line for line in _traced_rotation(scene, subject) if _CALL.match(line)]
    scene.struck(subject, "no fault")
    return [*_deaths(calls), *_disk_errors(calls)]


def _deaths(calls: list[str]) -> Iterator[Point]:
    counted: Counter[str] = Counter()
    for line in calls:
        counted[_name(line)] += 1
        yield Point(_name(line), str(counted[_name(line)]), "signal=KILL")


def _disk_errors(calls: list[str]) -> Iterator[Point]:
    counted: Counter[str] = Counter()
    for line in calls:
        name = _name(line)
        counted[name] += 1
        if _IN_FOLDER.search(line):
            for error in DISK_ERRORS:
                yield Point(name, f"{counted[name]}", error)
                # A disk that is full stays so. (Sockets are closed too, and those don't fail.)
                if name != "close":
                    yield Point(name, f"{counted[name]}+", error)


def _name(line: str) -> str:
    found = _CALL.match(line)
    return found[1] if found else ""


def _traced_rotation(scene: Scene, subject: Subject) -> list[str]:
    pid = scene.clients.start("rotate", subject.path, hold=True)
    with traced(pid, "-y", "-e", f"trace={TRACED}") as log:
        os.kill(pid, signal.SIGCONT)
        code = scene.clients.finish()
        lines = log.read_text().splitlines()
    scene.outcome.check(code == DONE, f"a rotation without a fault ended with {code}")
    return lines


def _strike(scene: Scene, point: Point) -> None:
    subject = scene.new_subject()
    pid = scene.clients.start("rotate", subject.path, patience=0.5, hold=True)
    with traced(pid, *point.options):
        os.kill(pid, signal.SIGCONT)
        code = scene.clients.finish()
    killed = point.fault == "signal=KILL"
    allowed = {-signal.SIGKILL} if killed else {DONE, AGAIN, REFUSED}
    scene.outcome.check(code in allowed, f"{point}: the client ended with {code}")
    scene.struck(subject, point)
