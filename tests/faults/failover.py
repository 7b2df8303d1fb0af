"""The database's primary dies under load, and its standby takes its place: nothing is lost.

Two servers, which are one service, are never started again meanwhile. First the primary is only
restarted. The control has a standby that is behind: what was acknowledged is lost then, and seen.
"""

import base64
import contextlib
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn.testing import Server
from tests.postgres import Cluster

from .connection import Connection
from .ledger import UNLIMITED
from .load import comes_true
from .outcome import Outcome
from .replicas import Replicas, running_replicas
from .rotating import Programs
from .storage import has_ended
from .subject import Subject
from .succession import judge_answers, verify
from .watch import Watch

AGENTS = 3
ROTATIONS = 2
"""Of each agent, between one blow and the next."""
RUNS = 20
SETTLED = 0.05
"""Seconds after which an answer that was on its way has arrived."""
WAYS = ("several hosts", "one name")
"""How the service finds the new primary: by itself, or because an operator points to it."""
RESTARTS: dict[str, Callable[[Cluster], None]] = {
    "fast": lambda it: it.stop(signal.SIGINT),
    "crash": lambda it: it.stop(signal.SIGQUIT),
    "death": Cluster.kill,
}


@dataclass
class Scene:
    """A service of two servers on a database of two, and an operator's token."""

    folder: Path
    replicas: Replicas
    servers: tuple[Server, Server]
    operator: str
    outcome: Outcome
    agents: int = 0

    def new_subject(self) -> Subject:
        self.agents += 1
        return Subject(self.servers[0], self.folder / f"agent-{self.agents}", self.servers[1])


def run(runs: int, seed: int) -> Outcome:
    """Fail over `runs` times in each way, and once with a standby that is behind."""
    outcome = Outcome()
    for way in WAYS:
        outcome.include(fail_over(way, runs, random.Random(seed)))
    outcome.include(control())
    return outcome


def fail_over(way: str, runs: int, choice: random.Random) -> Outcome:
    """Let the primary die `runs` times; each time the old one becomes the new one's standby."""
    with _scene(way) as scene:
        for number in range(runs):
            if number:
                scene.replicas.restore()
            scene.replicas.synchronize()
            with _subjects(scene) as subjects:
                restarts = choice.sample(list(RESTARTS), 2)
                _succeed(scene, subjects, restarts, sent=number % 2 == 1)
            scene.outcome.runs += 1
        return scene.outcome


def control() -> Outcome:
    """The same with a standby that is behind; all that may be wrong afterwards must be seen."""
    with _scene("several hosts") as scene, _subjects(scene) as subjects:
        seen = Outcome()
        programs = Programs(subjects)
        with programs.running(seen):
            programs.go_on(ROTATIONS)
            scene.replicas.cut_off()
            programs.go_on(ROTATIONS)
            _kill_primary(scene, programs, None)
            scene.replicas.promote()
            _expect_service(scene)
            programs.go_on(ROTATIONS)
        for subject in subjects:
            verify(scene.servers, scene.operator, subject, seen)
        for what in ("LOST", "ALIVE", "LOCKED OUT"):
            found = sum(what in violation for violation in seen.violations)
            scene.outcome.check(found > 0, f"with a standby that is behind, nothing is {what}")
            scene.outcome.note(f"with a standby that is behind: {what}", found)
        return scene.outcome


def _succeed(scene: Scene, subjects: list[Subject], restarts: Sequence[str], *, sent: bool) -> None:
    outcome, replicas, programs = scene.outcome, scene.replicas, Programs(subjects)
    with Watch(scene.servers, scene.operator, outcome) as watch, programs.running(outcome):
        for restart in restarts:
            outcome.check(programs.go_on(ROTATIONS), f"no rotations before the {restart} restart")
            RESTARTS[restart](replicas.primary)
            watch.expect_outage()
            replicas.primary.start()
            _expect_service(scene)
            outcome.note("restarts of the primary")
        outcome.check(programs.go_on(ROTATIONS), "no rotations before the failover")
        outcome.note("rotations before the failover", programs.rotations)
        struck = _kill_primary(scene, programs, sent)
        outcome.note("rotations in flight at the kill", struck)
        outcome.check(struck > 0, "no rotation was in flight at the kill")
        # Under the one name too there is now only a standby.
        replicas.point(replicas.standby)
        watch.expect_outage()
        before = programs.rotations
        replicas.promote()
        _expect_service(scene)
        outcome.check(programs.go_on(ROTATIONS), "no rotations after the failover")
        outcome.note("rotations after the failover", programs.rotations - before)
    for subject in subjects:
        judge_answers(subject, outcome)
        verify(scene.servers, scene.operator, subject, outcome)
    ended = [server for server in scene.servers if has_ended(server)]
    outcome.check(not ended, "a server ended")


def _kill_primary(scene: Scene, programs: Programs, sent: bool | None) -> int:
    """SIGKILL all of the primary while it has rotations to do; how many.

    `sent` says whether the standby already has the commit of one, or will never have it; None,
    that it does not matter. Where no such moment comes within 60 seconds, the primary dies all
    the same, and the answer is none.
    """
    replicas = scene.replicas
    struck = 0

    def strike() -> bool:
        nonlocal struck
        with contextlib.ExitStack() as stopped:
            if sent is False:
                stopped.enter_context(replicas.stopped("walsender"))
                time.sleep(SETTLED)
            waiting = programs.waiting
            stopped.enter_context(replicas.stopped("client backend"))
            time.sleep(SETTLED)
            struck = sum(not exchange.answer for exchange in waiting)
            found = struck > 0 and (sent is None or replicas.is_rotating())
            if found:
                replicas.primary.kill()
        return found

    if comes_true(strike):
        return struck
    replicas.primary.kill()
    return 0


def _expect_service(scene: Scene) -> None:
    for number, server in enumerate(scene.servers):
        ready = comes_true(lambda: _readiness(server) == 200)  # noqa: B023
        scene.outcome.check(ready, f"server {number} is never ready again")


def _readiness(server: Server) -> int:
    with Connection(server.port) as connection:
        return connection.call("GET", "/readyz").status


@contextlib.contextmanager
def _subjects(scene: Scene) -> Iterator[list[Subject]]:
    with contextlib.ExitStack() as stack:
        subjects = [scene.new_subject() for _ in range(AGENTS)]
        for subject in subjects:
            stack.callback(subject.close)
        yield subjects


@contextlib.contextmanager
def _scene(way: str) -> Iterator[Scene]:
    key = "k1:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-failover-") as name,
        running_replicas(Path(name)) as replicas,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        settings: dict[str, Any] = {"database": replicas.urls[way], "server_key": key, **UNLIMITED}
        servers = Server(folder / "here", **settings), Server(folder / "there", **settings)
        for server in servers:
            stack.callback(server.kill)
            server.start()
        made = servers[0].create_developer("failover@example.com", operator=True)
        yield Scene(folder, replicas, servers, made.token, Outcome())
