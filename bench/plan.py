"""What is measured, beside what, and which ratios say something."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from bench import floor, servers
from bench.clients import Client, Repeating, Rotating, register, rotation
from bench.group_commit import Raw
from bench.load import Sample, drive
from bench.machine import cores
from bench.suite import Measurement, Outcome, Ratio

CLIENTS = (1, 8, 64)
BATCHES = (1, 8, 32)
WORKERS = (1, 2)
AGENTS_PER_CLIENT = 16
WARM_UP = 0.25
"""Share of a measurement's time that is spent before counting."""

GROUPS = ("floor", "group-commit", "asgi", "fastapi", "rotation", "rotation-2-workers")

RATIOS = (
    Ratio("rotation, 64 clients / SQLite alone, 32 in a commit", "rotation 64", "group-commit 32"),
    Ratio("rotation, 8 clients / SQLite alone, 8 in a commit", "rotation 8", "group-commit 8"),
    Ratio("rotation, 1 client / SQLite alone, one by one", "rotation 1", "group-commit 1"),
    Ratio("rotation, 1 client / fdatasync in place", "rotation 1", "floor overwrite"),
    Ratio("rotation, 64 clients / bare FastAPI", "rotation 64", "fastapi 64"),
    Ratio("rotation, 64 clients / bare ASGI", "rotation 64", "asgi 64"),
    Ratio("rotation, 64 clients: 2 workers / 1", "rotation-2-workers 64", "rotation 64"),
    Ratio("SQLite alone, one by one / fdatasync in place", "group-commit 1", "floor overwrite"),
)


FloorWriter = Callable[[Path, float], list[int]]
SomeClient = TypeVar("SomeClient", bound=Client)


@contextlib.contextmanager
def measurements(folder: Path, groups: Sequence[str]) -> Iterator[list[Measurement]]:
    """The measurements of the wanted groups, their servers running while the block lasts."""
    server_core, load_core = cores()
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(pinned_process(server_core))
        load = stack.enter_context(pinned_process(load_core))
        found: list[Measurement] = []
        if "floor" in groups:
            found += [
                Measurement("floor append", _in(disk, _floor, floor.appended, folder)),
                Measurement("floor overwrite", _in(disk, _floor, floor.overwritten, folder)),
            ]
        if "group-commit" in groups:
            disk.submit(_open_raw, folder).result()
            stack.callback(lambda: disk.submit(_close_raw).result())
            found += [_group_commit(disk, batch) for batch in BATCHES]
        for name in ("asgi", "fastapi"):
            if name in groups:
                running = stack.enter_context(servers.bare(name))
                found += [_bare(load, name, running, count) for count in CLIENTS]
        for workers in WORKERS:
            name = "rotation" if workers == 1 else f"rotation-{workers}-workers"
            if name in groups:
                data_dir = folder / f"data-{workers}"
                running = stack.enter_context(servers.keyturn(data_dir, workers=workers))
                found += [rotations(load, name, running, count) for count in CLIENTS]
        yield found


@contextlib.contextmanager
def pinned_process(core: int) -> Iterator[ProcessPoolExecutor]:
    """A process of its own on one core, which runs what it is given."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        1, mp_context=spawn, initializer=os.sched_setaffinity, initargs=(0, {core})
    ) as executor:
        yield executor


def _in(
    executor: ProcessPoolExecutor, work: Callable[..., Outcome], *values: object
) -> Callable[[float], Outcome]:
    return lambda seconds: executor.submit(work, *values, seconds).result()


def _floor(write: FloorWriter, folder: Path, seconds: float) -> Outcome:
    return Outcome.of_times(write(folder, seconds), seconds)


_raw: list[Raw] = []
"""The open database of the process that runs the commits."""


def _open_raw(folder: Path) -> None:
    _raw.append(Raw(folder / "raw"))


def _close_raw() -> None:
    _raw.pop().close()


def _commits(batch: int, seconds: float) -> Outcome:
    _raw[0].commits(batch, seconds * WARM_UP)
    return Outcome.of_times(_raw[0].commits(batch, seconds), seconds, each=batch)


def _group_commit(disk: ProcessPoolExecutor, batch: int) -> Measurement:
    return Measurement(f"group-commit {batch}", _in(disk, _commits, batch))


def _bare(load: ProcessPoolExecutor, name: str, server: servers.Running, count: int) -> Measurement:
    message = rotation("sk_live_ak_" + "0" * 49, "sk_live_rs_" + "0" * 49, address="2001:db8::1")
    clients = [Repeating(message) for _ in range(count)]

    def run(seconds: float) -> Outcome:
        sample, _ = load.submit(_drive, server, clients, seconds).result()
        return Outcome.of_load(sample)

    return Measurement(f"{name} {count}", run)


def rotations(
    load: ProcessPoolExecutor,
    name: str,
    server: servers.Running,
    count: int,
    *,
    recoverable: bool = False,
) -> Measurement:
    """Rotations of agents of so many clients, which are registered now."""
    pairs = register(server.port, count * AGENTS_PER_CLIENT)
    clients = [Rotating(pairs[at::count], recoverable=recoverable) for at in range(count)]

    def run(seconds: float) -> Outcome:
        sample, clients[:] = load.submit(_drive, server, clients, seconds).result()
        return Outcome.of_load(sample)

    return Measurement(f"{name} {count}", run)


def _drive(
    server: servers.Running, clients: list[SomeClient], seconds: float
) -> tuple[Sample, list[SomeClient]]:
    sample = drive(
        server.port, clients, warm_up=seconds * WARM_UP, seconds=seconds, server=server.pid
    )
    return sample, clients
