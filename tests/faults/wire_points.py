"""A network that loses, truncates, delays or duplicates at every byte of a rotation."""

from typing import get_args

from .client_process import AGAIN, DONE
from .outcome import Outcome
from .proxy import Direction, Fault
from .scene import HEALTHY, Cast, Scene, campaign
from .subject import ROTATION

RUNS = 1
DELAY = 400
"""Milliseconds; the clients of these campaigns wait less for an answer."""


def run(runs: int, seed: int, *, sample: int | None = None, cast: Cast = HEALTHY) -> Outcome:
    """Strike every point `runs` times, or `sample` of them, in another order each time."""
    return campaign(_points, _strike, runs, seed, sample=sample, cast=cast)


def _points(scene: Scene) -> list[Fault]:
    """What can befall one rotation: each fault at each byte of an undisturbed one."""
    subject = scene.new_subject()
    code = scene.clients.call("rotate", subject.path)
    scene.outcome.check(code == DONE, f"a rotation without a fault ended with {code}")
    exchange = next(it for it in subject.proxy.exchanges if it.request.startswith(ROTATION))
    scene.struck(subject, "no fault")
    lengths = {"request": len(exchange.request), "answer": len(exchange.answer)}
    faults = [
        Fault(kind, direction, at, DELAY, only=ROTATION)
        for kind in ("lose", "truncate", "delay")
        for direction in get_args(Direction)
        for at in range(lengths[direction] + 1)
    ]
    duplicates = [
        Fault("duplicate", "request", at, returned=returned, only=ROTATION)
        for at in range(lengths["request"] + 1)
        for returned in ("first", "second")
    ]
    return faults + duplicates


def _strike(scene: Scene, fault: Fault) -> None:
    subject = scene.new_subject()
    subject.proxy.plan(fault)
    # Some clients try again at once, others are run again later.
    patience = scene.choice.choice((0.0, 2.0))
    code = scene.clients.call("rotate", subject.path, patience=patience)
    name = f"{fault.kind} at byte {fault.at_byte} of the {fault.direction}"
    allowed = {DONE, AGAIN} if patience == 0 else {DONE}
    scene.outcome.check(code in allowed, f"{name}: LOCKED OUT, the client ended with {code}")
    scene.struck(subject, name)
