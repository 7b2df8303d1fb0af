"""The commands of the other pages, run as they stand there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keyturn.core.keyed_hash import parse_server_keys
from keyturn.testing import Server, running_server
from tests.docs.pages import ROOT, blocks
from tests.docs.shell import DOCUMENTED_API, paste


@pytest.fixture
def enrolling() -> Iterator[Server]:
    with running_server(registration="enrolment") as server:
        yield server


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_quickstart_leads_to_an_agent_that_was_reinstated(
    enrolling: Server, tmp_path: Path, shell: str
) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "rotate.py").write_text(blocks("docs/quickstart.md", "rotate.py")[0])
    printed = paste(
        shell,
        blocks("docs/quickstart.md", "quickstart"),
        enrolling.port,
        tmp_path,
        enrolling.environment,
    )

    saved = tmp_path / "agent.json"
    assert saved.stat().st_mode & 0o077 == 0
    new_key = json.loads(saved.read_text())["apiKey"]
    me = httpx.get(
        f"{enrolling.url}/v1/agents/self", headers={"Authorization": f"Bearer {new_key}"}
    ).json()
    # Registered, rotated by rotate.py, reinstated.
    assert me["generation"] == 3

    status = printed[-3].splitlines()
    assert ["agentName", "my-second-agent"] in [line.split() for line in status]
    assert ["generation", "2"] in [line.split() for line in status]

    agent, trail = printed[-2].splitlines() if "\n" in printed[-2] else split_json(printed[-2])
    assert json.loads(agent)["agentId"] == me["agentId"]
    assert [entry["action"] for entry in json.loads(trail)["items"]] == [
        "credential.rotated",
        "agent.registered",
    ]


def split_json(text: str) -> tuple[str, str]:
    """Two JSON texts that curl has printed one right after the other."""
    _, end = json.JSONDecoder().raw_decode(text)
    return text[:end], text[end:]


def test_the_documented_loop_reads_every_page_of_a_list() -> None:
    with running_server() as server:
        operator = server.create_developer("operator@example.com", operator=True)
        for _ in range(5):
            httpx.post(f"{server.url}/v1/auth/agent-register")
        block = blocks("docs/api.md", "cursor")[0].replace("limit=200", "limit=2")
        printed = paste(
            "sh",
            [f"{DOCUMENTED_API}\n{block}"],
            server.port,
            ROOT,
            server.environment | {"TOKEN": operator.token},
        )
    pages = [json.loads(line)["items"] for line in printed[0].splitlines()]
    actions = [entry["action"] for page in pages for entry in page]
    assert max(len(page) for page in pages) == 2
    assert actions.count("agent.registered") == 5


def test_the_documented_tests_pass(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("docs/testing.md", "a test")):
        (tmp_path / f"test_documented_{number}.py").write_text(block)
    (tmp_path / "conftest.py").write_text(blocks("docs/testing.md", "fixtures")[0])
    (tmp_path / "test_fixtures.py").write_text(
        "def test_the_operator_has_a_token(operator):\n    assert operator.token\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_documented_client_registers_and_rotates(tmp_path: Path) -> None:
    with running_server() as server:
        program = "\n".join(
            block
            for marker in ("register", "use", "look")
            for block in blocks("docs/client.md", marker)
        ).replace("http://localhost:8787", server.url)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=server.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    name, looked = done.stdout.splitlines()
    assert name == "my-research-agent" and looked.startswith("sk_live_ak_…")


def test_the_documented_command_makes_a_server_key(tmp_path: Path) -> None:
    command = blocks("docs/server-key-leak.md", "new key")[0]
    line = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert len(parse_server_keys(line)) == 1
