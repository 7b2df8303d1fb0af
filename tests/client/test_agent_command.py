"""`keyturn agent` as a shell runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyturn.cli.agent import EXIT_STATUS
from keyturn.client.effects import Answer
from keyturn.core.credential import Kind
from keyturn.testing import Server
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, problem, says, served
from tests.client.programs import content_of
from tests.client.steps import file_of, stored_of
from tests.fork_server import ForkServer

Keyturn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.json"


@pytest.fixture
def agent(path: Path, fork_server: ForkServer) -> Keyturn:
    """`keyturn agent …` with the credentials file at `path`."""
    inherited = {name: text for name, text in os.environ.items() if "KEYTURN" not in name}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return fork_server.run(
            [sys.executable, "-m", "keyturn", "agent", *arguments],
            env={**inherited, "KEYTURN_CREDENTIALS": str(path), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def secrets_in(path: Path) -> list[str]:
    members = content_of(path)
    current, pending = members["current"] or {}, members["pending"] or {}
    found = [current.get("apiKey"), current.get("rotationSecret"), pending.get("idempotencyKey")]
    return [secret for secret in found if secret]


def test_an_agent_lives_by_the_command_line_alone(
    agent: Keyturn, server: Server, path: Path
) -> None:
    printed, secrets = "", []
    for arguments in (
        ["register", "--url", server.url, "--name", "researcher"],
        ["status"],
        ["rotate"],
        ["status", "--json"],
        ["revoke", "--yes"],
    ):
        done = agent(*arguments)
        assert done.returncode == 0, done.stderr
        printed += done.stdout + done.stderr
        secrets += secrets_in(path)
    assert len(set(secrets)) == 4
    assert not [number for number, secret in enumerate(secrets) if secret[11:30] in printed]
    assert "researcher" in printed and "sk_live_ak_…" in printed


def test_status_as_json(agent: Keyturn, server: Server, path: Path) -> None:
    agent("register", KEYTURN_URL=server.url)
    shown = json.loads(agent("status", "--json").stdout)
    members = content_of(path)
    assert shown == {
        "agentId": members["agentId"],
        "agentName": members["agentName"],
        "url": server.url,
        "credentials": str(path),
        "key": "sk_live_ak_…" + members["current"]["apiKey"][-4:],
        "keyAgeDays": 0,
        "keyCreatedAt": members["current"]["createdAt"],
        "rotationDueAt": members["current"]["dueAt"],
        "unfinishedRotation": False,
        "status": "active",
        "generation": 1,
        "rotationSecretConfigured": True,
        "creditBalance": 100,
    }


def test_status_without_the_server_shows_what_the_file_has(agent: Keyturn, path: Path) -> None:
    fake = FakeKeyturn()
    file_of(path.parent, stored_of(fake, "http://127.0.0.1:1"))
    done = agent("status", "--json")
    assert done.returncode == 4
    shown = json.loads(done.stdout)
    assert shown["agentId"] == fake.agent_id and shown["error"]["code"] == "try_again"
    assert agent("status").stdout.startswith("agentId")


WEB_PAGE = Answer(200, httpx.Headers({"content-type": "text/html"}), b"<p>")
FAILURES: dict[str, tuple[int, world.Fault]] = {
    "credentials_refused": (5, says(problem(401, "invalid_credentials"))),
    "needs_developer": (6, says(problem(403, "agent_revoked"))),
    "limited": (7, says(problem(429, "too_many_rotation_attempts", Retry_After="800"))),
    "not_keyturn": (8, says(WEB_PAGE)),
    "invalid_input": (2, says(problem(400, "invalid_request"))),
    "try_again": (4, says(problem(503, "unavailable", Retry_After="120"))),
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_has_its_exit_status_and_its_next_step(
    agent: Keyturn, path: Path, code: str
) -> None:
    status, fault = FAILURES[code]
    fake = FakeKeyturn(faults=[fault])
    with served(fake) as url:
        file_of(path.parent, stored_of(fake, url))
        done = agent("rotate", "--json")
    assert done.returncode == status
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert all(error[member] for member in ("wrong", "safe", "next"))
    assert done.stderr.splitlines() == [
        f"Error: {error['wrong']}",
        f"Safe:  {error['safe']}",
        f"Next:  {error['next']}",
    ]


def test_no_credentials_file_has_its_exit_status_too(agent: Keyturn) -> None:
    for command in (["status"], ["rotate"], ["revoke", "--yes"]):
        done = agent(*command)
        assert done.returncode == 3 and "keyturn agent register" in done.stderr


def test_every_kind_of_failure_has_an_exit_status_of_its_own() -> None:
    assert {error.code: status for error, status in EXIT_STATUS.items()} == {
        code: status for code, (status, _) in FAILURES.items()
    } | {"credentials_file": 3}


def test_a_revocation_is_confirmed(agent: Keyturn, server: Server) -> None:
    agent("register", "--url", server.url)
    assert agent("revoke").returncode == 1
    assert agent("status").returncode == 0
    assert agent("revoke", "--yes").returncode == 0
    assert agent("status").returncode == 6


@pytest.mark.parametrize("way", ["variable", "file"])
def test_an_enrolment_token_comes_by_variable_or_file(
    agent: Keyturn, path: Path, tmp_path: Path, way: str
) -> None:
    token = world.credential(Kind.ENROLMENT_TOKEN)
    fake = FakeKeyturn()
    with served(fake) as url:
        if way == "file":
            (tmp_path / "token").write_text(token + "\n")
            flags = ["--enrolment-token-file", str(tmp_path / "token")]
            done = agent("register", "--url", url, *flags)
        else:
            done = agent("register", "--url", url, KEYTURN_ENROLMENT_TOKEN=token)
    assert done.returncode == 0
    assert json.loads(fake.asked[0].content) == {"enrolmentToken": token}
    assert token not in path.read_text() + done.stdout + done.stderr


def test_the_default_file_is_in_the_configuration_directory(
    agent: Keyturn, server: Server, tmp_path: Path
) -> None:
    home = tmp_path / "configuration"
    done = agent("register", "--url", server.url, XDG_CONFIG_HOME=str(home), KEYTURN_CREDENTIALS="")
    assert done.returncode == 0, done.stderr
    assert (home / "keyturn" / "agent.json").stat().st_mode & 0o777 == 0o600


WITHOUT_SERVER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from keyturn.cli import main
main()
"""
SERVERS = {
    "apsw", "cryptography", "fastapi", "httptools", "jinja2", "prometheus_client", "pydantic",
    "pydantic_settings", "starlette", "structlog", "uvicorn", "uvloop",
}  # fmt: skip


def without_server(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_SERVER.format(absent=SERVERS), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_agents_commands_need_no_server_installed(server: Server, path: Path) -> None:
    file = ["--credentials", str(path)]
    registered = without_server("agent", "register", "--url", server.url, *file)
    assert registered.returncode == 0, registered.stderr
    assert without_server("agent", "rotate", *file).returncode == 0


@pytest.mark.parametrize("command", ["serve", "developer", "service", "migrate"])
def test_the_servers_commands_say_what_to_install(command: str) -> None:
    for arguments in ([], ["--help"], ["create", "--email", "a@example.com"]):
        done = without_server(command, *arguments)
        assert done.returncode == 1 and done.stdout == ""
        wrong = f"keyturn {command} needs the server"
        assert done.stderr == f"Error: {wrong}: install 'keyturn[server]'.\n"


def test_the_help_lists_every_command_either_way() -> None:
    shown = without_server("--help")
    assert shown.returncode == 0
    for command in ("agent", "serve", "developer", "service", "migrate"):
        assert f"  {command} " in shown.stdout
