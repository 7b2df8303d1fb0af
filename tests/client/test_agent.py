"""Registering, rotating, looking and revoking against a real server, sync and async."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keyturn.client import (
    AlreadyRegistered,
    CredentialsRefused,
    InvalidInput,
    NeedsDeveloper,
    NotKeyturn,
)
from keyturn.testing import Server, running_server
from tests.client.fake import FakeKeyturn, served
from tests.client.programs import Program, content_of, rotate_elsewhere, whoami

PROGRAMS = pytest.mark.parametrize(
    "program", [Program(False), Program(True)], ids=["sync", "async"]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.json"


def generation(server: Server, path: Path) -> int:
    key = content_of(path)["current"]["apiKey"]
    seen = httpx.get(whoami(server), headers={"Authorization": f"Bearer {key}"})
    return int(seen.json()["generation"])


@PROGRAMS
def test_an_agent_registers_rotates_and_revokes_itself(
    program: Program, server: Server, path: Path
) -> None:
    registered = program.agent(path, "register", server.url, name="researcher")
    assert registered.agent_name == "researcher"
    rotated = program.agent(path, "rotate")
    assert rotated.key != registered.key
    assert generation(server, path) == 2

    status = program.agent(path, "status")
    assert status.problem is None and status.server is not None
    assert (status.server.status, status.server.generation) == ("active", 2)
    assert status.server.credit_balance == 100 and status.server.rotation_secret_configured

    program.agent(path, "revoke")
    after = program.agent(path, "status")
    assert after.server is None and isinstance(after.problem, NeedsDeveloper)


@PROGRAMS
def test_the_dates_in_the_file_are_the_servers(
    program: Program, server: Server, path: Path
) -> None:
    program.agent(path, "register", server.url)
    key = content_of(path)["current"]["apiKey"]
    seen = httpx.get(whoami(server), headers={"Authorization": f"Bearer {key}"}).json()
    assert content_of(path)["current"]["createdAt"] == seen["keyCreatedAt"]
    assert content_of(path)["current"]["dueAt"] == seen["rotationDueAt"]


@PROGRAMS
def test_a_second_registration_in_the_same_file_is_refused(
    program: Program, server: Server, path: Path
) -> None:
    program.agent(path, "register", server.url)
    before = path.read_bytes()
    with pytest.raises(AlreadyRegistered):
        program.agent(path, "register", server.url)
    assert path.read_bytes() == before


@PROGRAMS
def test_a_pair_that_somebody_else_has_rotated_is_said_to_be_refused(
    program: Program, server: Server, path: Path
) -> None:
    program.agent(path, "register", server.url)
    rotate_elsewhere(server, path)
    before = content_of(path)["current"]
    with pytest.raises(CredentialsRefused, match="developer"):
        program.agent(path, "rotate")
    assert content_of(path)["current"] == before


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server where registration takes an enrolment token."""
    with running_server(registration="enrolment") as started:
        yield started


@PROGRAMS
def test_an_enrolment_token_is_sent_and_then_forgotten(
    program: Program, strict: Server, path: Path
) -> None:
    developer = strict.create_developer(f"{program.asynchronous}@example.com", operator=True)
    with pytest.raises(CredentialsRefused, match="enrolment token"):
        program.agent(path, "register", strict.url)
    made = httpx.post(
        f"{strict.url}/v1/enrolment-tokens",
        headers={"Authorization": f"Bearer {developer.token}"},
        json={"name": "test"},
    ).json()
    program.agent(path, "register", strict.url, enrolment_token=made["token"])
    assert made["token"] not in path.read_text()


def test_a_closed_registration_needs_a_developer(path: Path) -> None:
    with running_server(registration="closed") as closed, pytest.raises(NeedsDeveloper):
        Program(False).agent(path, "register", closed.url)


@PROGRAMS
def test_a_name_that_the_server_refuses_is_the_callers_to_change(
    program: Program, server: Server, path: Path
) -> None:
    with pytest.raises(InvalidInput, match="name"):
        program.agent(path, "register", server.url, name="x" * 101)
    program.agent(path, "register", server.url, name="x" * 100)


@pytest.mark.parametrize(
    "url",
    [
        "keys.example.com",
        "ftp://keys.example.com",
        "https://",
        "https://user:password@keys.example.com",
        "https://keys.example.com/?a=b",
        "http://keys.example.com",
        "http://10.0.0.1:8787",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_an_address_that_is_none_or_not_safe_is_refused(path: Path, url: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Program(False).agent(path, "register", url)
    assert "password" not in str(raised.value)
    assert not path.exists()


@PROGRAMS
def test_http_can_be_allowed(
    program: Program, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.client.operations._is_loopback", lambda host: not host)
    with pytest.raises(InvalidInput, match="--allow-http"):
        program.agent(path, "register", server.url)
    program.agent(path, "register", server.url, allow_http=True)
    program.agent(path, "rotate")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_does_not_read_plain_http(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    Program(False).agent(path, "register", server.url)
    Program(True).agent(path, "rotate")


@PROGRAMS
def test_an_address_of_something_else_is_told(program: Program, path: Path) -> None:
    fake = FakeKeyturn(faults=[])
    with served(fake) as url, pytest.raises(NotKeyturn, match="Check the address"):
        program.agent(path, "register", f"{url}/wrong/path")
    assert json.loads(path.read_text())["current"] is None
