"""The command line within the tests' own process: a new one would cost as much as many tests."""

import os
import subprocess

import pytest
from click.testing import CliRunner

from keyturn.cli import main
from keyturn.testing import Server


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `server.run` does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("KEYTURN_")]:
            patch.delenv(name)
        done = CliRunner(env=server.environment).invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
