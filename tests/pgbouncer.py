"""A PgBouncer of our own, in transaction mode, from the system's program."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.postgres import PATIENCE, Cluster, until_it_answers

WHERE = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Debian keeps it where only root looks."""
POOL_SIZE = 5
"""Fewer sessions than one process of ours has connections: they are shared, and go round."""
SETTINGS: dict[str, object] = {
    "pool_mode": "transaction",
    "default_pool_size": POOL_SIZE,
    "server_round_robin": 1,
    # Sessions of tests that are over make room for others.
    "max_db_connections": 100,
    "max_client_conn": 1000,
    "auth_type": "trust",
    # Asks the server which roles there are.
    "auth_user": "keyturn",
    "listen_port": 6432,
}


def program() -> str:
    """The path of PgBouncer."""
    found = shutil.which("pgbouncer", path=WHERE)
    if found is None:
        pytest.fail("PgBouncer is not installed (Debian: apt install pgbouncer)", pytrace=False)
    return found


@dataclass
class Pooler:
    """PgBouncer before a cluster, on a socket in its folder."""

    cluster: Cluster
    folder: Path
    settings: dict[str, object]
    """For the next start."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._through(self.cluster.url)

    def new_database(self) -> str:
        """The URL of a place that is empty."""
        return self._through(self.cluster.new_database())

    def start(self) -> None:
        configuration = self.folder / "pgbouncer.ini"
        lines = {"unix_socket_dir": self.folder, **self.settings}
        port = self.cluster.settings["port"]
        configuration.write_text(
            f"[databases]\n* = host={self.cluster.folder} port={port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        self.cluster.hand_over(configuration)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program(), str(configuration)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self.cluster.user,
            )
        until_it_answers(self.url, self.process)

    def stop(self) -> None:
        """End the pooler at once, and with it every connection through it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def _through(self, url: str) -> str:
        here = f"postgresql:///postgres?host={self.folder}&port={self.settings['listen_port']}"
        return url.replace(self.cluster.address, here)


@contextlib.contextmanager
def running_pooler(cluster: Cluster) -> Iterator[Pooler]:
    """A PgBouncer that was started for this, before the cluster."""
    with tempfile.TemporaryDirectory(prefix="keyturn-pgbouncer-") as name:
        pooler = Pooler(cluster, Path(name), dict(SETTINGS))
        cluster.hand_over(pooler.folder)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()
