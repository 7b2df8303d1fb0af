"""SIGKILL at random moments under load: what was acknowledged stays, and nothing is half-done."""

import os
import random
import signal
import time

from keyturn.testing import Server, running_server

from .ledger import UNLIMITED, check_database, verify
from .load import Load
from .outcome import Outcome
from .workers import processes

CLIENTS = 6
ROTATIONS_TO_A_KILL = 40
RUNS = 2_000


def run(runs: int, seed: int) -> Outcome:
    """Have `runs` rotations acknowledged by a server of 1 process, and as many by one of 4."""
    outcome = Outcome()
    for workers in (1, 4):
        outcome.include(_campaign(workers, runs, random.Random(seed + workers)))
    return outcome


def _campaign(workers: int, runs: int, choice: random.Random) -> Outcome:
    outcome = Outcome()
    with running_server(workers=workers, **UNLIMITED) as server:
        operator = server.create_developer("kill@example.com", operator=True).token
        load = Load(server, CLIENTS, choice)
        with load.running(outcome):
            while load.acknowledged < runs and outcome.check(
                load.goes_on(choice.randint(1, 2 * ROTATIONS_TO_A_KILL)), "rotations stopped"
            ):
                # A moment within a rotation, not always the one after it.
                time.sleep(choice.uniform(0, 0.005))
                _kill(server, choice, outcome)
        outcome.runs += load.acknowledged
        server.kill()
        for name in ("keyturn.db", "limits.db"):
            outcome.include(check_database(server.data_dir / name))
        server.start()
        outcome.include(verify(server, operator, load.agents))
    return outcome


def _kill(server: Server, choice: random.Random, outcome: Outcome) -> None:
    workers = processes(server)[1:]
    if workers and choice.random() < 0.5:
        os.kill(choice.choice(workers), signal.SIGKILL)
        outcome.note("single workers killed")
    else:
        server.kill()
        server.start()
        outcome.note("whole servers killed")
