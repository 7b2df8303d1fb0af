"""What others make of the same work: the peers of `bench.peers`, each on one core as ours is."""

import contextlib
import importlib.util
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from bench.checks.plan import PEER, SERVED, Plan, measurement
from bench.checks.requests import Answer, message, write
from bench.checks.statements import Statement
from bench.checks.wrk import Load
from bench.machine import cores_for, program
from bench.servers import Running, free_port, wait_for
from bench.suite import Ratio

FAILURES = (OSError, RuntimeError, subprocess.SubprocessError)
"""What keeps one peer from being measured, and not the others."""
START_SECONDS = 60
LINE = 300
"""As much of an error as is shown."""


class Peer(Protocol):
    """Another program that tells whether a credential is good."""

    name: str

    def install(self, build_folder: Path) -> None:
        """Make its environment under `build_folder/peers/NAME`, unless it is there."""
        ...

    def seed(self, count: int, folder: Path) -> None:
        """Make a database of so many credentials in a folder, unless it is there."""
        ...

    def keys(self, folder: Path) -> Iterable[str]:
        """A sample of them."""
        ...

    def serve(self, folder: Path, port: int) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command and the environment of a server with one worker."""
        ...

    def request(self, credential: str) -> tuple[str, str, Mapping[str, str], bytes]:
        """Method, path, headers and body that check it; a good one is answered 200."""
        ...


def known() -> Sequence[Peer]:
    """The peers of this repository."""
    if importlib.util.find_spec("bench.peers") is None:
        return ()
    found: Sequence[Peer] = import_module("bench.peers").PEERS
    return found


def add_peers(
    plan: Plan,
    stack: contextlib.ExitStack,
    peers: Sequence[Peer],
    build: Path,
    folder: Path,
    count: int,
) -> None:
    """Add a row for each peer that can be had here, and a line for each that can't."""
    for peer in peers:
        name = f"{peer.name} {PEER}"
        try:
            load = stack.enter_context(_serving(peer, build, folder, count))
        except FAILURES as error:
            plan.missing.append(f"{name}: {' '.join(str(error).split())[:LINE]}")
            continue
        plan.measurements.append(measurement(name, load))
        ratio = Ratio(f"forward-auth, keyturn serve / {peer.name}", SERVED, name)
        plan.statements.append(Statement(ratio, 20))


def installed(peers: Sequence[Peer], build: Path) -> list[Peer]:
    """Those whose environment has been made."""
    return [peer for peer in peers if (build / "peers" / peer.name).is_dir()]


@contextlib.contextmanager
def _serving(peer: Peer, build: Path, folder: Path, count: int) -> Iterator[Load]:
    peer.install(build)
    data = build / "checks" / f"{peer.name}-{count}"
    peer.seed(count, data)
    requests = [message(*peer.request(key)) for key in peer.keys(data)]
    port = free_port()
    command, environment = peer.serve(data, port)
    with program(*command, on=cores_for(1), environment=environment) as child:
        wait_for(port, START_SECONDS)
        path = write(folder / f"{peer.name}.requests", requests)
        yield Load(Running(port, child.pid), path, Answer(200))
