"""Runs the commands of the documentation as a person who pastes them would."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

SEPARATOR = "\x1e"
DOCUMENTED_API = "API=http://localhost:8787"


def paste(
    shell: str, blocks: Sequence[str], port: int, folder: Path, environment: Mapping[str, str]
) -> list[str]:
    """What each block prints, run one after another in one shell, against the server on `port`.

    A command that fails ends the run and the test. Standard error may hold credentials only where
    a documented command is wrong, and is shown then.
    """
    if shutil.which("curl") is None:
        pytest.fail("curl is not installed: the documented commands need it")
    script = "\nprintf '\\036'\n".join(blocks)
    script = script.replace(DOCUMENTED_API, f"API=http://localhost:{port}")
    done = subprocess.run(
        [shell, "-e", "-s"],
        input=script,
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    printed = done.stdout.split(SEPARATOR)
    if done.returncode != 0 or len(printed) != len(blocks):
        pytest.fail(f"block {len(printed)} of {len(blocks)} failed in {shell}: {done.stderr}")
    return printed
