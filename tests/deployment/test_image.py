"""The Dockerfile, as far as it can be tested without a container engine."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keyturn.settings import Settings
from keyturn.testing import Server
from tests.docs.pages import ROOT

from .proxies import installed_beside_python

DOCKERFILE = ROOT / "Dockerfile"
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage: the name, and what follows it as one line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found: list[list[Instruction]] = []
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        if name:
            found[-1].append((name, rest))
    return found


def last(name: str) -> str:
    """What the image has of an instruction."""
    [value] = [rest for found, rest in stages()[-1] if found == name]
    return value


def copied() -> list[str]:
    """What is copied into the image from the repository."""
    lines = [rest for stage in stages() for name, rest in stage if name in {"COPY", "ADD"}]
    return [path for line in lines if "--from=" not in line for path in line.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    command = [installed_beside_python("hadolint"), str(DOCKERFILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_all_that_is_copied_is_there_and_nothing_else_reaches_the_build() -> None:
    assert all((ROOT / path).exists() for path in copied())
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    first, *rest = [line for line in lines if line and not line.startswith("#")]
    assert first == "*"
    assert sorted(line[1:] for line in rest if line.startswith("!")) == sorted(copied())


def test_every_package_comes_from_the_locked_requirements_with_its_hash() -> None:
    runs = [rest for stage in stages() for name, rest in stage if name == "RUN"]
    installs = [line for line in runs if line.startswith("pip ")]
    assert [("--require-hashes" in line, "--no-deps" in line) for line in installs] == [
        (True, False),
        (False, True),
    ]
    assert "requirements/postgres.txt" in copied()
    assert "--no-build-isolation" in installs[1]


def test_the_last_stage_runs_nothing_that_installs() -> None:
    runs = [rest for name, rest in stages()[-1] if name == "RUN"]
    assert not re.search(r"\b(pip|apt-get|apt|curl|wget)\b", " ".join(runs))


def test_the_image_does_not_run_as_root() -> None:
    user, group = last("USER").split(":")
    assert int(user) >= 1000 and int(group) >= 1000
    assert f"--uid {user}" in dict(stages()[-1])["RUN"]


def test_the_data_is_in_a_volume_that_the_user_owns() -> None:
    assert f"KEYTURN_DATA_DIR={last('VOLUME')}" in last("ENV")
    assert f"--owner keyturn --group keyturn --mode 0700 {last('VOLUME')}" in last("RUN")


def test_keyturn_takes_the_command_line_of_the_image() -> None:
    program, *arguments = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
    assert (program, arguments) == ("keyturn", ["serve", "--host", "0.0.0.0"])
    command = [sys.executable, "-m", "keyturn", *arguments, "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_image_stops_as_keyturn_wants_to_be_asked() -> None:
    assert last("STOPSIGNAL") == "SIGTERM"
    assert last("EXPOSE") == str(Settings().port)


def test_the_health_check_tells_a_server_that_runs_from_one_that_does_not(tmp_path: Path) -> None:
    check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    server = Server(tmp_path / "data")
    command = [part.replace("8787", str(server.port)) for part in check]
    command[0] = sys.executable
    server.start()
    try:
        assert command != check[1:] and healthy(command)
    finally:
        server.stop()
    assert not healthy(command)


def healthy(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("word", ["http://", "https://", "SERVER_KEY", "PASSWORD", "--index-url"])
def test_the_image_has_no_secret_and_no_address_in_it(word: str) -> None:
    assert word not in DOCKERFILE.read_text()
