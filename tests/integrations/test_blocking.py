"""A verifier that many threads, event loops and forked processes share."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyturn.installation import UnusableInstallation
from keyturn.integrations import AgentIdentity, BlockingVerifier, Refusal, RemoteVerifier, Verifier
from keyturn.integrations.embedded import EmbeddedVerifier
from keyturn.settings import Settings
from keyturn.testing import Server
from tests.contract.client import Agent, Service, forged

FORKING = """
import os, sys
from keyturn.integrations import BlockingVerifier, RemoteVerifier
from keyturn.integrations.embedded import EmbeddedVerifier
from keyturn.settings import Settings

kind, place, token, key = sys.stdin.read().split()
inner = RemoteVerifier(place, token) if kind == "remote" else EmbeddedVerifier(Settings())
verifier = BlockingVerifier(inner)
print(verifier.verify(key).agent_id, flush=True)
for _ in range(2):
    if os.fork() == 0:
        print(verifier.verify(key).agent_id, flush=True)
        sys.exit()
    os.wait()
print(verifier.verify(key).agent_id, flush=True)
"""


def inner(kind: str, server: Server, token: str) -> Verifier:
    if kind == "remote":
        return RemoteVerifier(server.url, token, timeout=30)
    return EmbeddedVerifier(Settings(data_dir=server.data_dir))


@pytest.fixture(params=["remote", "embedded"])
def verifier(request: pytest.FixtureRequest, server: Server, token: str) -> BlockingVerifier:
    return BlockingVerifier(inner(request.param, server, token))


def threads_of_ours() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("keyturn", "write-", "scan-"))]


def test_it_begins_with_the_first_check_and_ends_when_it_is_closed(
    verifier: BlockingVerifier, agent: Agent
) -> None:
    before = threads_of_ours()
    for _ in range(2):
        assert isinstance(verifier.verify(agent.key), AgentIdentity)
        assert len(threads_of_ours()) > len(before)
        verifier.close()
        assert threads_of_ours() == before


def test_it_is_closed_when_nobody_has_it_any_more(server: Server) -> None:
    before = threads_of_ours()
    verifier = BlockingVerifier(inner("embedded", server, ""))
    verifier.open()
    assert len(threads_of_ours()) > len(before)
    del verifier
    assert threads_of_ours() == before


def test_many_threads_share_it(verifier: BlockingVerifier, agent: Agent) -> None:
    with contextlib.closing(verifier), ThreadPoolExecutor(16) as threads:
        checks = [threads.submit(verifier.verify, agent.key, cost=3) for _ in range(40)]
        found = Counter(type(check.result()) for check in checks)
    assert found == {AgentIdentity: 33, Refusal: 7}


def test_several_event_loops_share_it(verifier: BlockingVerifier, agent: Agent) -> None:
    async def admit(_: int) -> AgentIdentity | Refusal | None:
        return await verifier.admit_async([f"Bearer {agent.key}"])

    with contextlib.closing(verifier), ThreadPoolExecutor(4) as threads:
        for found in threads.map(asyncio.run, map(admit, range(8))):
            assert isinstance(found, AgentIdentity)


def test_an_event_loop_that_waits_for_it_can_do_something_else(
    verifier: BlockingVerifier, agent: Agent
) -> None:
    async def race() -> str:
        check = asyncio.ensure_future(verifier.admit_async([f"Bearer {agent.key}"]))
        await asyncio.sleep(0)
        return "waiting" if not check.done() else "blocked"

    with contextlib.closing(verifier):
        verifier.open()
        assert asyncio.run(race()) == "waiting"


def test_an_installation_that_cannot_be_opened_is_known_at_the_start(server: Server) -> None:
    settings = Settings(data_dir=server.data_dir / "keyturn.db" / "none")
    before = threads_of_ours()
    with pytest.raises(UnusableInstallation):
        BlockingVerifier(EmbeddedVerifier(settings)).open()
    assert threads_of_ours() == before


def run(program: str, server: Server, *told: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        input=" ".join(told),
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_that_is_forked_begins_again(server: Server, token: str, agent: Agent) -> None:
    done = run(FORKING, server, "remote", server.url, token, agent.key)
    assert (done.stdout.split(), done.stderr) == ([agent.id] * 4, "")


def test_an_installation_that_was_open_before_a_fork_is_not_opened_after_it(
    server: Server, token: str, agent: Agent
) -> None:
    done = run(FORKING, server, "embedded", "-", token, agent.key)
    assert done.stdout.split() == [agent.id] * 2
    assert done.stderr.count("UnusableInstallation: This process was forked") == 2


def test_a_process_that_ends_writes_what_it_has_noted(
    server: Server, keyturn: Service, agent: Agent
) -> None:
    done = run(FORKING.partition("for _")[0], server, "embedded", "-", "-", agent.key)
    assert (done.stdout.split(), done.stderr) == ([agent.id], "")
    shown = keyturn.get(f"/v1/agents/{agent.id}", keyturn.operator).json()
    assert shown["lastUsedAt"]


def test_a_key_that_nobody_issued_is_refused_as_by_the_verifier_itself(
    verifier: BlockingVerifier,
) -> None:
    with contextlib.closing(verifier):
        assert verifier.verify(forged("ak")) is Refusal.INVALID
        assert verifier.admit([]) is Refusal.NO_KEY
        assert asyncio.run(verifier.admit_async(["Bearer x"])) is Refusal.INVALID
