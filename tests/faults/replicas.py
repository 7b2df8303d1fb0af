"""A database on two servers of PostgreSQL, one of which follows the other."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.postgres import Cluster, empty_cluster, running_cluster

from .load import comes_true


class Replicas:
    """The primary, its standby, and a name of the primary that an operator can point elsewhere."""

    def __init__(self, primary: Cluster, standby: Cluster, name: Path) -> None:
        self.primary = primary
        self.standby = standby
        self._name = name
        standby.follow(primary)
        self.point(primary)

    @property
    def urls(self) -> dict[str, str]:
        """How a service finds the primary: among several, or under one name."""
        both = f"{self.primary.folder},{self.standby.folder}"
        return {
            "several hosts": f"postgresql:///postgres?host={both}&user=keyturn",
            "one name": f"postgresql:///postgres?host={self._name}&user=keyturn",
        }

    def point(self, cluster: Cluster) -> None:
        """Point the name to a server, as an operator does with DNS or an address."""
        link = self._name.with_suffix(".new")
        link.symlink_to(cluster.folder)
        link.replace(self._name)

    def synchronize(self) -> None:
        """From now on a commit waits for the standby.

        Raises:
            TimeoutError: it does not follow.
        """
        self.primary.set("synchronous_standby_names", "*")
        self._wait("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'", self.primary)

    def cut_off(self) -> None:
        """The standby hears no more of the primary, which does not wait for it."""
        self.primary.set("synchronous_standby_names", "")
        self.standby.set("primary_conninfo", "")
        gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_replication)"
        self._wait(gone, self.primary)

    @contextlib.contextmanager
    def stopped(self, kind: str) -> Iterator[None]:
        """Let no process of one kind of the primary's go on, which may be killed meanwhile."""
        found = f"SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}'"
        pids = [pid for (pid,) in self.primary.run(f"{found} AND pid != pg_backend_pid()")]
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    def is_rotating(self) -> bool:
        """Whether a rotation's commit waits for the standby to confirm it."""
        return bool(
            self.primary.run(
                "SELECT 1 FROM pg_stat_activity JOIN pg_locks USING (pid)"
                "WHERE wait_event = 'SyncRep' AND relation = 'retired'::regclass"
            )
        )

    def promote(self) -> None:
        """Make the standby the primary. The old one is dead."""
        self.standby.run("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def restore(self) -> None:
        """Make the old primary, which is dead, a standby of the new one."""
        self.standby.follow(self.primary)

    def _wait(self, statement: str, cluster: Cluster) -> None:
        if not comes_true(lambda: cluster.run(statement)):
            raise TimeoutError(f"It never came true: {statement}")


def _signal(pids: list[int], sign: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


@contextlib.contextmanager
def running_replicas(folder: Path) -> Iterator[Replicas]:
    """A primary and a standby that were started for this; a symbolic link in `folder` names one."""
    with running_cluster() as primary, empty_cluster() as standby:
        yield Replicas(primary, standby, folder / "primary")
