"""Twenty processes with one credentials file, all of which rotate when that is due."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

from keyturn.client import Agent
from keyturn.client.credentials_file import CredentialsFile
from keyturn.testing import Server
from tests.client.programs import content_of, make_due, whoami
from tests.docs.pages import ROOT

PROCESSES = 20
PERIODS = 3
PERIOD_SECONDS = 3.0


def test_twenty_processes_rotate_once_a_period_and_no_401_reaches_any(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "agent.json"
    Agent(path).register(server.url)
    start = time.time() + 6
    until = start + PERIODS * PERIOD_SECONDS
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.client.sharing", kind, path, whoami(server), str(until)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind in ["sync", "async"] * (PROCESSES // 2)
    ]
    for period in range(PERIODS):
        time.sleep(max(0.0, start + period * PERIOD_SECONDS - time.time()))
        become_due(path)
    seen: Counter[str] = Counter()
    for process in processes:
        printed, complaints = process.communicate(timeout=90)
        assert process.returncode == 0 and complaints == ""
        seen.update(json.loads(printed))
    assert set(seen) == {"200"}
    assert seen["200"] > 10 * PROCESSES
    key = content_of(path)["current"]["apiKey"]
    me = httpx.get(whoami(server), headers={"Authorization": f"Bearer {key}"}).json()
    assert me["generation"] == 1 + PERIODS


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
