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
SETTINGS: dict[str, object] = {
    "listen_addresses": "",
    "port": 5432,
    "max_connections": 200,
    # A standby asks again at once for a primary that is back.
    "wal_retrieve_retry_interval": "100ms",
}


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of its newest version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        pytest.fail(f"PostgreSQL is not installed: there is no {name}", pytrace=False)
    return found


@dataclass
class Cluster:
    """A server that listens on a socket in its folder, and by its settings on no network."""

    folder: Path
    user: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, object] = field(default_factory=lambda: dict(SETTINGS))
    """For the next start."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def make(self) -> None:
        """Make a database cluster of its own."""
        self._make("initdb", "-U", "keyturn", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8")

    def start(self) -> None:
        command = [program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *settings], stdout=log, stderr=log, cwd=self.folder, **self.user
            )
        until_it_answers(self.url, self.process)

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT disconnects everybody, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(PATIENCE)
            self.process = None

    def signal(self, sign: signal.Signals) -> None:
        """Send every process of the server a signal: SIGSTOP, SIGCONT or SIGKILL."""
        if self.process is None:
            return
        pid = self.process.pid
        # Stopped it starts no others, and knows of those there are until it is dead.
        self.process.send_signal(signal.SIGSTOP)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), sign)
        self.process.send_signal(sign)

    def kill(self) -> None:
        """End every process of the server at once, and its memory, as when its machine dies."""
        # The line has the key and the id of the shared memory that outlives its processes.
        shared = (self.folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        self.signal(signal.SIGKILL)
        self.stop(signal.SIGKILL)
        subprocess.run(["ipcrm", "--shmem-id", shared], check=True)

    def follow(self, leader: "Cluster") -> None:
        """Become a copy of another server, and start as its standby."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self._make("pg_basebackup", "-R", "-c", "fast", "-d", f"host={leader.folder} user=keyturn")
        self.start()

    def set(self, name: str, value: str) -> None:
        """Change a setting of the server while it runs."""
        self.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.run("SELECT pg_reload_conf()")

    @property
    def address(self) -> str:
        """The server's URL, but for the user."""
        return f"postgresql:///postgres?host={self.folder}&port={self.settings['port']}"

    @property
    def url(self) -> str:
        return f"{self.address}&user=keyturn"

    def hand_over(self, *paths: Path) -> None:
        """Make these files the server's."""
        for path in paths:
            if self.user:
                os.chown(path, self.user["user"], self.user["group"])

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the server's owner; its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _make(self, name: str, *arguments: str) -> None:
        made = subprocess.run(
            [program(name), "-D", str(self.folder / "data"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **self.user,
        )
        if made.returncode != 0:
            pytest.fail(f"{name} failed: {made.stderr}", pytrace=False)

    def new_database(self) -> str:
        """The URL of a place that is empty: a schema, which costs less than a database.

        Its role finds it by its name, so that the URL needs nothing that a pooler would refuse.
        """
        name = f"test_{next(self._numbers)}_{secrets.token_hex(4)}"
        self.run(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA AUTHORIZATION {name}")
        return f"{self.address}&user={name}"


def until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for a server that was just started."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def cluster_in(folder: Path) -> Cluster:
    """The server of a folder, which is its user's from now on. It may have no data yet."""
    cluster = Cluster(folder, _user())
    cluster.hand_over(folder)
    return cluster


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A server that was started for this, with everything as PostgreSQL has it by default."""
    with empty_cluster() as cluster:
        cluster.make()
        cluster.start()
        yield cluster


@contextlib.contextmanager
def empty_cluster() -> Iterator[Cluster]:
    """A server without data, which is stopped afterwards if it was started."""
    with tempfile.TemporaryDirectory(prefix="keyturn-pg-") as name:
        cluster = cluster_in(Path(name))
        try:
            yield cluster
        finally:
            # Nobody needs the data any more, so nothing is brought to the disk.
            cluster.stop(signal.SIGQUIT)


def _user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return pytest.fail("PostgreSQL can't run as root, and there is no user nobody", pytrace=False)
