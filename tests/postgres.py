"""A PostgreSQL of our own, from the system's programs, for as long as the tests need it."""

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

UNPRIVILEGED = ("postgres", "nobody")
"""Whose server it is where the tests run as root, which PostgreSQL refuses."""
PATIENCE = 60.0


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of its newest version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        pytest.fail(f"PostgreSQL is not installed: there is no {name}", pytrace=False)
    return found


@dataclass
class Cluster:
    """A server that listens on a socket in its folder, and on no network."""

    folder: Path
    user: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        command = [program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        settings = ["-c", "listen_addresses=", "-c", "max_connections=200"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *settings], stdout=log, stderr=log, cwd=self.folder, **self.user
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT disconnects everybody, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(PATIENCE)
            self.process = None

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=keyturn"

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the server's owner; its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The URL of a place that is empty: a schema, which costs less than a database."""
        name = f"test_{next(self._numbers)}_{secrets.token_hex(4)}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"


def made_cluster(folder: Path) -> Cluster:
    """A server's data in a folder that is empty, with everything as PostgreSQL has it."""
    user = server_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    data = ["-D", str(folder / "data"), "-U", "keyturn", "-A", "trust", "-E", "UTF8"]
    made = subprocess.run(
        [program("initdb"), *data, "--locale", "C.UTF-8"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **user,
    )
    if made.returncode != 0:
        pytest.fail(f"initdb failed: {made.stderr}", pytrace=False)
    return Cluster(folder, user)


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A server that was started for this, with everything as PostgreSQL has it by default."""
    with tempfile.TemporaryDirectory(prefix="keyturn-pg-") as name:
        cluster = made_cluster(Path(name))
        try:
            cluster.start()
            yield cluster
        finally:
            # Nobody needs the data any more, so nothing is brought to the disk.
            cluster.stop(signal.SIGQUIT)


def server_user() -> dict[str, Any]:
    """Whose process the server has to be, as `subprocess` takes it."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return pytest.fail("PostgreSQL can't run as root, and there is no user nobody", pytrace=False)
