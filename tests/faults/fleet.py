"""Four servers that are one service on one PostgreSQL, and the faults that befall them."""

import base64
import contextlib
import json
import random
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

from keyturn.testing import Server
from tests.postgres import Cluster

from .ledger import UNLIMITED
from .outcome import Outcome
from .recorded_agent import Tokens

SERVERS = 4
ENOUGH = 3
"""Of so many servers one may be killed."""
BUSIEST = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(%s)"
    " ORDER BY state = 'idle', random() LIMIT 1"
)
ANY = BUSIEST.replace("state = 'idle', ", "")


class Fleet:
    """The servers, of which one may be on its way back, and the tokens to ask them with."""

    def __init__(self, servers: list[Server], cluster: Cluster, pool: ThreadPoolExecutor) -> None:
        self.servers = servers
        self.faults: Counter[str] = Counter()
        self._cluster = cluster
        self._pool = pool
        self._coming: dict[Server, Future[None]] = {}
        operator = servers[0].create_developer("histories@example.com", operator=True).token
        # Not by the server, which may have a bug.
        made = servers[0].run("service", "create", "--name", "histories", "--json")
        self.tokens = Tokens(operator, json.loads(made.stdout)["token"])

    def strike(self, choice: random.Random) -> None:
        """Kill a server, or cut a connection between one and the database."""
        for server, start in list(self._coming.items()):
            if start.done():
                start.result()
                del self._coming[server]
        up = [server for server in self.servers if server not in self._coming]
        server, kill = choice.choice(up), choice.random() < 0.25
        if kill and len(up) >= ENOUGH:
            server.kill()
            self._coming[server] = self._pool.submit(server.start)
            self.faults["servers killed"] += 1
        else:
            # One that is starting is let alone: without the database it must not start.
            names = [_name(self.servers.index(server)) for server in up]
            with psycopg.connect(self._cluster.url, autocommit=True) as connection:
                connection.execute(choice.choice([BUSIEST, ANY]), [names])
            self.faults["connections cut"] += 1

    def note(self, outcome: Outcome) -> None:
        """Wait until all servers are back, and count what was done to them."""
        for start in self._coming.values():
            start.result()
        for fault, count in self.faults.items():
            outcome.note(fault, count)


@contextlib.contextmanager
def running_fleet(server: type[Server], cluster: Cluster) -> Iterator[Fleet]:
    """Four started servers on one database; `server` is how each is run."""
    key = "k1:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-fleet-") as folder,
        ThreadPoolExecutor(SERVERS) as pool,
    ):
        database = cluster.new_database()
        settings: dict[str, Any] = {
            "server_key": key,
            "trusted_proxies": "127.0.0.1/32",
            **UNLIMITED,
        }
        servers = [
            server(
                Path(folder) / _name(at),
                database=f"{database}&application_name={_name(at)}",
                **settings,
            )
            for at in range(SERVERS)
        ]
        try:
            list(pool.map(Server.start, servers))
            yield Fleet(servers, cluster, pool)
        finally:
            pool.shutdown()
            for each in servers:
                each.kill()


def _name(at: int) -> str:
    return f"server-{at + 1}"
