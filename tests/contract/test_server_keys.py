"""Sections 1 and 8: server keys are added and removed, and no agent is lost by accident."""

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keyturn.testing import Server

from .client import Service, after_rotation, assert_problem, eventually, forged
from .conftest import PROXIES, service_of


def _key(name: str) -> str:
    return f"{name}:{base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip('=')}"


OLD, NEW = _key("2026-old"), _key("2026-new")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server that knows one key."""
    made = Server(tmp_path / "data", server_key=OLD, trusted_proxies=PROXIES)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def _restart_with(server: Server, keys: str) -> None:
    server.stop()
    server.settings["server_key"] = keys
    server.start()


def _refused_start(server: Server, keys: str, *flags: str) -> str:
    server.stop()
    server.settings["server_key"] = keys
    result = server.run("serve", "--port", str(server.port), *flags)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


def _abandon(server: Server, id: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the server with --abandon-key, its output in a file of its own."""
    log = server.data_dir.with_name("abandon.log")
    command = ["serve", "--port", str(server.port), "--abandon-key", id]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "keyturn", *command],
            env=server.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.url}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    return process, log


def test_adding_a_key_leaves_everyone_valid(server: Server) -> None:
    service = service_of(server)
    agents = [service.register() for _ in range(3)]
    token = service.create_token("enrolment", service.operator)["token"]
    _restart_with(server, f"{NEW},{OLD}")
    for agent in agents:
        assert service.whoami(agent.key).json()["generation"] == 1
        assert service.rotate(agent.key, agent.secret).status_code == 200
    body = {"enrolmentToken": token}
    assert service.post("/v1/auth/agent-register", json=body).status_code == 201


def test_the_order_of_keys_does_not_matter_to_what_is_valid(server: Server) -> None:
    service = service_of(server)
    agent = service.register()
    for keys in (f"{NEW},{OLD}", f"{OLD},{NEW}"):
        _restart_with(server, keys)
        agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    assert service.whoami(agent.key).json()["generation"] == 3


def test_a_used_credential_moves_to_the_new_key(server: Server) -> None:
    service = service_of(server)
    agent = service.register()
    _restart_with(server, f"{NEW},{OLD}")
    # Using a pair moves both; so does the token that looks on.
    agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    service.inspect(agent.id)
    _restart_with(server, NEW)
    assert service.whoami(agent.key).status_code == 200
    assert service.rotate(agent.key, agent.secret).status_code == 200
    assert service.get("/v1/agents", service.operator).status_code == 200


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_server_that_lacks_the_key_that_another_has_made_current_is_unavailable(
    server: Server, store: str, request: pytest.FixtureRequest
) -> None:
    other = Server(server.data_dir)
    if store == "postgres":
        server.stop()
        server.settings["database"] = request.getfixturevalue("postgres").new_database()
        server.start()
        other = Server(server.data_dir.with_name("other"))
    other.settings = {**server.settings, "server_key": f"{NEW},{OLD}"}
    behind = service_of(server)
    ahead = Service(other.url, behind.operator)
    used, unused = behind.register(), behind.register()
    try:
        other.start()
        assert ahead.forward(used.key).status_code == 200
        eventually(lambda: behind.forward(used.key).status_code == 503)
        new = after_rotation(used, ahead.rotate(used.key, used.secret))
        for key, secret in ((used.key, used.secret), (new.key, new.secret)):
            assert_problem(behind.rotate(key, secret), 503, "unavailable")
        assert behind.forward(forged("ak")).status_code == 503
        assert_problem(behind.get("/readyz"), 503, "unavailable")
        assert behind.forward(unused.key).status_code == 200
        assert ahead.get("/readyz").status_code == 200
        assert ahead.forward(used.key).status_code == 401
        eventually(lambda: "server keys are missing" in server.log_path.read_text())
        _restart_with(server, f"{NEW},{OLD}")
        assert behind.forward(new.key).status_code == 200
        assert behind.forward(used.key).status_code == 401
    finally:
        other.kill()


def test_a_key_that_an_unused_agent_needs_cannot_be_removed(server: Server) -> None:
    service = service_of(server)
    used, unused = service.register(), service.register()
    _restart_with(server, f"{NEW},{OLD}")
    service.rotate(used.key, used.secret).raise_for_status()
    service.inspect(used.id)
    assert "2026-old" in _refused_start(server, NEW)
    _restart_with(server, f"{NEW},{OLD}")
    assert service.rotate(unused.key, unused.secret).status_code == 200
    _restart_with(server, NEW)


def test_a_retired_key_stays_dead_through_changes_of_the_server_key(server: Server) -> None:
    service = service_of(server)
    first = service.register()
    second = after_rotation(first, service.rotate(first.key, first.secret))
    _restart_with(server, f"{NEW},{OLD}")
    assert_problem(service.whoami(first.key), 401, "invalid_credentials")
    assert_problem(service.rotate(first.key, first.secret), 401, "invalid_credentials")
    assert service.whoami(second.key).json()["generation"] == 2


def test_abandoning_a_key_says_how_many_agents_die_with_it(server: Server) -> None:
    service = service_of(server)
    kept, *lost = [service.register() for _ in range(4)]
    _restart_with(server, f"{NEW},{OLD}")
    kept = after_rotation(kept, service.rotate(kept.key, kept.secret))
    service.inspect(kept.id)
    server.stop()
    server.settings["server_key"] = NEW
    process, log = _abandon(server, "2026-old")
    try:
        assert process.poll() is None, log.read_text()
        assert re.search(r"\b3 agents?\b", log.read_text())
        assert service.whoami(kept.key).json()["generation"] == 2
        for agent in lost:
            assert_problem(service.whoami(agent.key), 401, "invalid_credentials")
    finally:
        process.terminate()
        assert process.wait(30) == 0
    server.start()
    assert service.whoami(kept.key).status_code == 200


def test_abandoning_another_key_does_not_help(server: Server) -> None:
    service_of(server).register()
    assert _refused_start(server, NEW, "--abandon-key", "2025-older")


@pytest.mark.sqlite_files
def test_the_database_holds_neither_keys_nor_credentials(server: Server) -> None:
    service: Service = service_of(server)
    agent = service.register()
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    held = b"".join(
        path.read_bytes() for path in server.data_dir.iterdir() if path.name != "server-key"
    )
    server_key = OLD.partition(":")[2]
    texts = [agent.key, agent.secret, new.key, new.secret, service.operator, server_key]
    bodies = [text[11:-6] for text in texts[:-1]]
    assert [number for number, text in enumerate(texts + bodies) if text.encode() in held] == []
    padded = server_key + "=" * (-len(server_key) % 4)
    assert base64.urlsafe_b64decode(padded) not in held
    assert new.id.encode() in held or bytes.fromhex(new.id.replace("-", "")) in held
