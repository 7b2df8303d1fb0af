"""A disk that is full or fails: 503, nothing half-done, and service again afterwards."""

import contextlib
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from keyturn.testing import Server, running_server

from .connection import BROKEN, SELF, Connection
from .injection import injected
from .ledger import UNLIMITED, Agent, check_database, new_agent, register, settle, verify
from .load import Load, comes_true
from .outcome import Outcome

CLIENTS = 4
RUNS = 10
REFUSALS = 5
"""Unanswered rotations to wait for while a lasting fault strikes under load."""

Happened = Callable[[], bool]


@dataclass(frozen=True)
class Fault:
    """What fails (`force`, given the server and which of the calls), and what must come of it.

    `ends` tells whether the process must end because of it; None where either is right.
    """

    name: str
    force: Callable[[Server, str], AbstractContextManager[Happened]]
    ends: bool | None
    may_miss: bool = False
    """Whether there may be room for one more change: its loss would be seen in the end."""


def refuse(calls: str, error: str, file: str) -> Callable[..., AbstractContextManager[Happened]]:
    """The system calls on one file of the data directory fail."""

    @contextlib.contextmanager
    def force(server: Server, when: str) -> Iterator[Happened]:
        with injected(server.pid, calls, error, server.data_dir / file, when) as injection:
            yield lambda: injection.happened > 0

    return force


@contextlib.contextmanager
def no_file_may_grow(server: Server, _when: str) -> Iterator[Happened]:
    """The kernel lets no file of the server grow past its log's size (EFBIG)."""
    pid = server.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    size = (server.data_dir / "keyturn.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield lambda: True
    finally:
        if not has_ended(server):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


WRITES = "pwrite64,write,pwritev,writev,ftruncate,fallocate"
FSYNCS = "fdatasync,fsync"
FAULTS = (
    Fault("fsync fails", refuse(FSYNCS, "EIO", "keyturn.db-wal"), ends=True),
    Fault("write fails", refuse(WRITES, "EIO", "keyturn.db-wal"), ends=None),
    Fault("disk full", refuse(WRITES, "ENOSPC", "keyturn.db-wal"), ends=False),
    Fault("limiter's write fails", refuse(WRITES, "EIO", "limits.db-wal"), ends=None),
    Fault("limiter's disk full", refuse(WRITES, "ENOSPC", "limits.db-wal"), ends=False),
    Fault("no file may grow", no_file_may_grow, ends=None, may_miss=True),
)


def run(runs: int, seed: int) -> Outcome:
    """Let every fault strike `runs` times an idle server and `runs` times one under load."""
    choice = random.Random(seed)
    outcome = Outcome()
    agents: list[Agent] = []
    with running_server(**UNLIMITED) as server:
        operator = server.create_developer("disk@example.com", operator=True).token
        for _ in range(runs):
            for fault in FAULTS:
                agents += [_strike_idle(server, fault, outcome)]
                agents += _strike_loaded(server, fault, choice, outcome)
            agents += [_last_checkpoint_fails(server, outcome)]
            outcome.runs += 2 * len(FAULTS) + 1
        server.kill()
        outcome.include(check_database(server.data_dir / "keyturn.db"))
        outcome.include(check_database(server.data_dir / "limits.db"))
        server.start()
        outcome.include(verify(server, operator, agents))
    return outcome


def _strike_idle(server: Server, fault: Fault, outcome: Outcome) -> Agent:
    """One rotation while everything fails: 503, though the pair is good."""
    with Connection(server.port) as connection:
        agent = new_agent(connection)
        agent.rotate(connection)
        with fault.force(server, "1+") as happened:
            status = _status(lambda: agent.rotate(connection))
            right = status == 503 or (fault.may_miss and status == 200)
            outcome.check(right, f"{fault.name}: a rotation answers {status}, not 503")
            status = _status(lambda: connection.call("GET", SELF, token=agent.keys[-1]).status)
            outcome.check(status in {0, 200, 503}, f"{fault.name}: the good key gets {status}")
            outcome.check(happened(), f"{fault.name}: the fault never happened")
            if fault.ends:
                comes_true(lambda: has_ended(server))
    _serve_again(server, fault, outcome)
    settle(server, agent)
    if not agent.overtaken:
        with Connection(server.port) as connection:
            status = agent.rotate(connection)
            outcome.check(status == 200, f"{fault.name}: afterwards a good pair gets {status}")
    return agent


def _strike_loaded(
    server: Server, fault: Fault, choice: random.Random, outcome: Outcome
) -> list[Agent]:
    """The fault strikes at a random call while several clients rotate without pause."""
    load = Load(server, CLIENTS, choice)
    lasting = choice.random() < 0.5
    with load.running(outcome):
        outcome.check(load.goes_on(CLIENTS), f"{fault.name}: rotations don't even begin")
        with fault.force(server, f"{choice.randint(1, 30)}{'+' * lasting}") as happened:
            # A fault that strikes once may strike housekeeping, which no client notices.
            enough = load.unanswered + REFUSALS if lasting else 0
            noticed = comes_true(
                lambda: has_ended(server) or (happened() and load.unanswered >= enough)
            )
            outcome.check(noticed, f"{fault.name}: no client noticed it")
            if fault.ends:
                comes_true(lambda: has_ended(server))
        _serve_again(server, fault, outcome)
        outcome.check(load.goes_on(CLIENTS), f"{fault.name}: the clients can't go on")
    return load.agents


def _last_checkpoint_fails(server: Server, outcome: Outcome) -> Agent:
    """The log can't be copied into the database at the end: the log still has everything."""
    with Connection(server.port) as connection:
        agent = new_agent(connection)
        agent.rotate(connection)
    with refuse(f"{WRITES},{FSYNCS}", "EIO", "keyturn.db")(server, "1+") as happened:
        server.stop()
        outcome.check(happened(), "last checkpoint fails: the fault never happened")
    server.start()
    with Connection(server.port) as connection:
        status = agent.rotate(connection)
        outcome.check(status == 200, f"last checkpoint fails: a good pair gets {status}")
    return agent


def _serve_again(server: Server, fault: Fault, outcome: Outcome) -> None:
    """Wait until the server works again; start it where the fault has ended it."""
    settled = comes_true(lambda: has_ended(server) or _works(server))
    outcome.check(settled, f"{fault.name}: never works again")
    ended = has_ended(server)
    if fault.ends is not None:
        outcome.check(ended == fault.ends, f"{fault.name}: the process ended: {ended}")
    if ended:
        outcome.note("processes ended")
        code = server.stop()
        outcome.check(code not in {0, None}, f"{fault.name}: exit code {code}")
        server.start()


def _works(server: Server) -> bool:
    """Whether an agent can register and rotate: that writes into both databases."""
    with contextlib.suppress(*BROKEN), Connection(server.port) as connection:
        agent = register(connection)
        return agent is not None and agent.rotate(connection) == 200
    return False


def has_ended(server: Server) -> bool:
    """Whether the server's process is over (and waits for us to ask how it ended)."""
    try:
        return Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _status(call: Callable[[], int]) -> int:
    try:
        return call()
    except BROKEN:
        return 0
