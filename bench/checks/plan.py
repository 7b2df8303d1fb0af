"""What is measured of the checks, and what should come out."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import servers
from bench.checks.account import Account
from bench.checks.dataset import Dataset
from bench.checks.requests import (
    AT_COST,
    CHECKS,
    FORWARD_AUTH,
    Answer,
    Check,
    forward_auth,
    malformed,
    unknown,
    write,
)
from bench.checks.rotator import CONNECTIONS as ROTATORS
from bench.checks.rotator import rotating
from bench.checks.statements import Statement
from bench.checks.wrk import Load, Run, drive
from bench.clients import Rotating, register
from bench.servers import Running
from bench.suite import Measurement, Outcome, Ratio
from keyturn.testing import Server

AGENTS = 1_000_000
GROUPS = ("limits", "checks", "refused", "cost", "rotations", "workers", "peers")
ROTATIONS = (50, 500)
WARM_UP = 1
AGENTS_PER_ROTATOR = 16

PATHS = SERVE, ASGI = "serve", "ASGI"
TWO_WORKERS = "2 workers"
BARE, NGINX = "bare ASGI", "nginx"
PEER = "(peer)"


def row_name(check: Check, path: str, extra: str = "") -> str:
    """What a row is called, for example `forward-auth, 50 rotations (serve)`."""
    return f"{check.name}{extra and ', ' + extra} ({path})"


SERVED, BY_ASGI = row_name(FORWARD_AUTH, SERVE), row_name(FORWARD_AUTH, ASGI)
STATEMENTS = (
    Statement(Ratio("forward-auth, ASGI path / bare ASGI", BY_ASGI, BARE), 0.70),
    Statement(Ratio("forward-auth, keyturn serve / bare ASGI", SERVED, BARE), 1.3),
    Statement(Ratio("its p99, ASGI path / bare ASGI", BY_ASGI, BARE, "p99"), 1.5, at_least=False),
    Statement(
        Ratio("its p99, keyturn serve / bare ASGI", SERVED, BARE, "p99"), 1.5, at_least=False
    ),
    *(
        Statement(
            Ratio(
                f"{check.name} with 50 rotations a second / without",
                row_name(check, SERVE, "50 rotations"),
                row_name(check, SERVE),
            ),
            0.9,
        )
        for check in CHECKS
    ),
    Statement(row_name(AT_COST, SERVE), 5000),
)


@dataclass
class Plan:
    """The measurements of a run, and what else is to be said of it."""

    measurements: list[Measurement] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=lambda: list(STATEMENTS))
    missing: list[str] = field(default_factory=list)
    """What was left out, each with the reason, in a line."""
    account: Account | None = None


@contextlib.contextmanager
def planned(folder: Path, data: Dataset, groups: Sequence[str]) -> Iterator[Plan]:
    """The measurements of the wanted groups but the peers', their servers running meanwhile.

    `folder` takes what is needed for as long.
    """
    with contextlib.ExitStack() as stack:
        planner = _Planner(folder, data, groups, stack)
        planner.add_all()
        yield planner.plan


@dataclass
class _Planner:
    folder: Path
    data: Dataset
    groups: Sequence[str]
    stack: contextlib.ExitStack
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        self.keys = self.data.keys
        self.token = service_token(self.data)

    def add_all(self) -> None:
        if "limits" in self.groups:
            self._add_limits()
        if {"checks", "refused", "cost", "rotations"} & set(self.groups):
            paths = {
                SERVE: self._start(servers.keyturn(self.data.data_dir)),
                ASGI: self._start(servers.keyturn(self.data.data_dir, kind=servers.PlainServer)),
            }
            self._add_checks(paths)
            self._add_cost(paths)
        if "workers" in self.groups:
            running = self._start(servers.keyturn(self.data.data_dir, workers=2))
            self._add(row_name(FORWARD_AUTH, TWO_WORKERS), self._load(FORWARD_AUTH, running))

    def _start(self, server: contextlib.AbstractContextManager[Running]) -> Running:
        return self.stack.enter_context(server)

    def _add_limits(self) -> None:
        requests = self._requests("limits", [forward_auth(key) for key in self.keys])
        bare = self._start(servers.bare("checks"))
        self._add(BARE, Load(bare, requests, Answer(200)))
        try:
            nginx = self._start(servers.nginx(self.folder / "nginx"))
        except FileNotFoundError as error:
            self.plan.missing.append(f"{error}: the limit of the machine is not measured.")
        else:
            self._add(NGINX, Load(nginx, requests, Answer(200)))

    def _add_checks(self, paths: dict[str, Running]) -> None:
        rotators = self._rotators(paths[SERVE]) if "rotations" in self.groups else []
        for check in CHECKS:
            for path, running in paths.items():
                good = self._load(check, running)
                if "checks" in self.groups:
                    self._add(row_name(check, path), good)
                if "refused" in self.groups:
                    for extra, keys in (("unknown key", unknown), ("malformed key", malformed)):
                        load = self._load(check, running, keys(len(self.keys)), extra)
                        self._add(row_name(check, path, extra), load)
                if "rotations" in self.groups:
                    for rate in ROTATIONS:
                        name = row_name(check, path, f"{rate} rotations")
                        self._add_rotating(name, good, rotators, rate)

    def _add_cost(self, paths: dict[str, Running]) -> None:
        if "cost" not in self.groups:
            return
        key = self.keys[0]
        account = self.plan.account = Account(paths[SERVE], key, self.token)
        for path, running in paths.items():
            load = self._load(AT_COST, running, [key])
            self._add(row_name(AT_COST, path), load, account.note)

    def _load(
        self, check: Check, running: Running, keys: list[str] | None = None, extra: str = ""
    ) -> Load:
        messages = [check.request(key, self.token) for key in keys or self.keys]
        requests = self._requests(f"{check.name} {extra}", messages)
        return Load(running, requests, check.refused if extra else check.good)

    def _requests(self, name: str, messages: list[bytes]) -> Path:
        return write(self.folder / f"{name.replace('/', '-')}.requests", messages)

    def _add(self, name: str, load: Load, note: Callable[[Run], None] = lambda _: None) -> None:
        self.plan.measurements.append(measurement(name, load, note))

    def _add_rotating(self, name: str, load: Load, clients: list[Rotating], rate: int) -> None:
        def run(seconds: float) -> Outcome:
            with rotating(load.server.port, clients, rate) as rotations:
                drive(load, WARM_UP)
                measured = drive(load, round(seconds))
            return replace(
                measured.outcome,
                errors=measured.outcome.errors + rotations.errors,
                rotations=rotations.rate(measured.begin, measured.end),
                rotator_busy=rotations.busy,
            )

        self.plan.measurements.append(Measurement(name, run))

    def _rotators(self, server: Running) -> list[Rotating]:
        pairs = register(server.port, ROTATORS * AGENTS_PER_ROTATOR)
        return [Rotating(pairs[at::ROTATORS]) for at in range(ROTATORS)]


def measurement(name: str, load: Load, note: Callable[[Run], None] = lambda _: None) -> Measurement:
    """A row without anything beside it; `note` is told of every run, of the warm-up too."""

    def run(seconds: float) -> Outcome:
        note(drive(load, WARM_UP))
        measured = drive(load, round(seconds))
        note(measured)
        return measured.outcome

    return Measurement(name, run)


def service_token(data: Dataset) -> str:
    """A new service token that sees every agent.

    Raises:
        RuntimeError: the command refused; the message has its output.
    """
    made = Server(data.data_dir).run("service", "create", "--name", "bench", "--json")
    if made.returncode != 0:
        raise RuntimeError(f"keyturn service create failed: {made.stderr}")
    token: str = json.loads(made.stdout)["token"]
    return token
