"""A network that loses, truncates, delays or duplicates at every byte of a rotation."""

import random
from typing import get_args

from keyturn.testing import Server

from .client_process import AGAIN, DONE
from .outcome import Outcome
from .proxy import Direction, Fault
from .scene import Scene, opened
from .subject import ROTATION

RUNS = 1
DELAY = 400
"""Milliseconds; the clients of these campaigns wait less for an answer."""


def run(runs: int, seed: int) -> Outcome:
    """Strike at every byte `runs` times, in another order each time."""
    return strike(runs, None, seed)


def strike(
    runs: int,
    points: int | None,
    seed: int,
    *,
    server: Server | None = None,
    client_bug: str = "",
) -> Outcome:
    """Strike `points` of all points in each run, or all; with a bug in the client, or server."""
    choice = random.Random(seed)
    with opened(choice, server=server, client_bug=client_bug) as scene:
        for _ in range(runs):
            every = _points(scene)
            scene.outcome.note("points of a rotation", len(every))
            for fault in choice.sample(every, min(points or len(every), len(every))):
                _strike(scene, fault)
    return scene.outcome


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
