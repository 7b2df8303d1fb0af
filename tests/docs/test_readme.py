"""The README's sixty seconds, run as they stand there."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keyturn.testing import Server
from tests.docs.pages import ROOT, blocks
from tests.docs.shell import paste

ROTATION_LINES = """\
curl -X POST "$API/v1/agents/self/rotate-key" \\
  -H "Authorization: Bearer $CURRENT_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d "{\\"rotationSecret\\": \\"$ROTATION_SECRET\\"}"
"""
ROTATION_MEMBERS = ["message", "apiKey", "rotationSecret", "agentId", "agentName"]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Server]:
    """A server that `make run` has started, and that has the settings of a server for tests."""
    server = Server(tmp_path / "keyturn-data")
    log_path = tmp_path / "make.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env=shell_environment(server) | {"KEYTURN_PORT": str(server.port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 90
        while not ready(server.url):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"make run did not start a server:\n{log_path.read_text()}")
            time.sleep(0.05)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


def shell_environment(server: Server) -> dict[str, str]:
    """The environment of somebody at a shell: nothing of the `make test` that runs this."""
    of_make = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    return {name: value for name, value in server.environment.items() if name not in of_make}


def test_the_readme_starts_with_make_run() -> None:
    first = (ROOT / "README.md").read_text().split("```")[1]
    assert first == "bash\nmake run\n"


def test_the_readme_has_the_rotation_lines_to_the_letter() -> None:
    assert ROTATION_LINES in blocks("README.md", "60 seconds")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_sixty_seconds_lead_to_a_rotated_key(made: Server, shell: str) -> None:
    pasted = blocks("README.md", "60 seconds")
    _, works, rotation, dead, trail, verdict = paste(
        shell, pasted, made.port, ROOT, shell_environment(made)
    )

    rotated = json.loads(rotation)
    assert list(rotated) == ROTATION_MEMBERS
    me = httpx.get(
        f"{made.url}/v1/agents/self", headers={"Authorization": f"Bearer {rotated['apiKey']}"}
    ).json()
    before = json.loads(works)
    assert (before["agentName"], before["generation"]) == ("my-research-agent", 1)
    assert (me["agentId"], me["generation"]) == (before["agentId"], 2)

    assert dead.splitlines()[0].startswith("HTTP/1.1 401")
    assert json.loads(dead.split("\n\n")[-1])["code"] == "invalid_credentials"

    assert json.loads(verdict) == {"valid": False, "code": "invalid"}
    entries = json.loads(trail)["items"]
    assert [entry["action"] for entry in entries] == ["credential.rotated"]
    assert entries[0]["actor"] == {"kind": "agent", "id": me["agentId"]}
