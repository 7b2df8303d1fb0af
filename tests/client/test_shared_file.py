"""Twenty processes with one credentials file, all of which rotate when that is due."""

import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from keyturn.client import Agent
from keyturn.client.credentials_file import CredentialsFile
from keyturn.testing import Server
from tests.client.programs import content_of, make_due, whoami
from tests.contract.client import eventually
from tests.fork_server import Forked, ForkServer

PROCESSES = 20
PERIODS = 5


def test_twenty_processes_rotate_once_a_period_and_no_401_reaches_any(
    server: Server, tmp_path: Path, fork_server: ForkServer
) -> None:
    path, stop = tmp_path / "agent.json", tmp_path / "stop"
    Agent(path).register(server.url)
    command = [sys.executable, "-m", "tests.client.sharing"]
    told = [str(path), whoami(server), str(stop)]
    processes: list[tuple[Forked, Path, Path]] = []
    for number in range(PROCESSES):
        output, errors = tmp_path / f"{number}.output", tmp_path / f"{number}.errors"
        kind = ("sync", "async")[number % 2]
        with output.open("wb") as stdout, errors.open("wb") as stderr:
            process = fork_server.fork(
                [*command, kind, *told], env=os.environ, stdout=stdout, stderr=stderr
            )
        processes.append((process, output, errors))
    for _, output, _ in processes:
        eventually(partial(is_ready, output))
    for _ in range(PERIODS):
        become_due(path)
        eventually(lambda: not is_due(path))
    stop.touch()
    seen: Counter[str] = Counter()
    for process, output, errors in processes:
        code, complaints = process.wait(100), errors.read_text()
        assert code == 0, complaints
        assert complaints == ""
        seen.update(json.loads(output.read_text().removeprefix("ready\n")))
    assert set(seen) == {"200"}
    key = content_of(path)["current"]["apiKey"]
    me = httpx.get(whoami(server), headers={"Authorization": f"Bearer {key}"}).json()
    assert me["generation"] == 1 + PERIODS


def is_ready(output: Path) -> bool:
    return output.read_text() == "ready\n"


def is_due(path: Path) -> bool:
    return datetime.fromisoformat(content_of(path)["current"]["dueAt"]) < datetime.now(UTC)


def become_due(path: Path) -> None:
    """The period is over for all of them at once, in a file that is replaced as a whole."""
    lock = CredentialsFile(path).lock()
    while not lock.try_acquire():
        time.sleep(0.01)
    copy = path.with_name("copy.json")
    copy.touch(0o600)
    copy.write_bytes(path.read_bytes())
    make_due(copy)
    copy.rename(path)
    lock.release()
