"""`python -m bench timing`: all runs, their tables, and where they are kept."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench import servers
from bench.machine import cores, describe
from bench.plan import pinned_process
from bench.report import machine_line, write_into
from bench.timing import contenders
from bench.timing.contenders import Contender
from bench.timing.order import round_robin, shuffled
from bench.timing.report import Samples, as_data, compare, markdown
from bench.timing.sampling import sample

SEED = 20
COUNT = 10_000
QUICK_COUNT = 2_000


def main(folder: Path, build: Path, docs: Path, quick: bool, write_docs: bool) -> None:
    """Run, print, keep; ends with status 1 where something came out that should not."""
    machine = describe(folder)
    runs = all_runs(folder, QUICK_COUNT if quick else COUNT)
    compared = [(run, compare(run)) for run in runs]
    text = "\n\n".join([machine_line(machine), *(markdown(run, pairs) for run, pairs in compared)])
    data = {"machine": machine, "runs": [as_data(run, pairs) for run, pairs in compared]}
    (build / "timing.json").write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    print(text)
    if write_docs:
        write_into(docs / "timing.md", "timing", text)
    if not all(pair.as_expected for _, pairs in compared for pair in pairs):
        sys.exit(
            "A pair marked (!) did not come out as it should. Where it is one of a control, this "
            "machine was too busy to tell, and the other runs say nothing."
        )


def all_runs(folder: Path, count: int) -> list[Samples]:
    """The comparison of the contract in two orders, and its controls."""
    _, load_core = cores()
    with pinned_process(load_core) as client:
        with servers.keyturn(folder / "timing") as server:
            port = server.port
            runs = [
                take(client, port, "Random order", contenders.contract(port, count)),
                take(client, port, "Strict turns", contenders.contract(port, count), turns=True),
                take(
                    client,
                    port,
                    "With an idempotency key",
                    contenders.with_idempotency_key(port, count),
                ),
                take(
                    client,
                    port,
                    "Control: the same twice, and a bad checksum",
                    [
                        contenders.unknown("unknown key", count),
                        contenders.unknown("unknown key again", count),
                        contenders.bad_checksum(count),
                    ],
                    different=("bad checksum",),
                ),
            ]
        with servers.planted(folder / "planted") as server:
            planted = [
                contenders.unknown("as it is", count, extra="X-Planted: 0\r\n"),
                contenders.unknown("20 µs later", count, extra="X-Planted: 1\r\n"),
            ]
            title = "Control: 20 µs planted"
            runs.append(take(client, server.port, title, planted, different=("20 µs later",)))
    return runs


def take(
    client: ProcessPoolExecutor,
    port: int,
    title: str,
    of: Sequence[Contender],
    *,
    turns: bool = False,
    different: tuple[str, ...] = (),
) -> Samples:
    """One run, taken by the client's process."""
    print(title, file=sys.stderr, flush=True)
    count = len(of[0].messages)
    order = round_robin(len(of), count) if turns else shuffled(len(of), count, SEED)
    took = client.submit(sample, port, of, order).result()
    micro = [[nanoseconds / 1000 for nanoseconds in times] for times in took]
    return Samples(title, [contender.name for contender in of], micro, different)
