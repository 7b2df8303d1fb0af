"""Behind PgBouncer in transaction mode: no session keeps anything, and a restart loses nothing."""

import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from keyturn.testing import running_server
from tests.pgbouncer import POOL_SIZE, Pooler, running_pooler
from tests.postgres import Cluster

from .client import Agent, Service, after_rotation, assert_unavailable, eventually, forged
from .conftest import PROXIES, service_of

AT_ONCE = 8
RESTARTS = 2
# PgBouncer itself sets some settings of a session to those of whom it lends it to.
KEPT = """
SELECT 'statement' FROM pg_prepared_statements
UNION ALL SELECT 'cursor' FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table' FROM pg_class WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'channel' FROM pg_listening_channels()
UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'setting ' || name FROM pg_settings WHERE source = 'session' AND name NOT IN
    ('application_name', 'client_encoding', 'DateStyle', 'standard_conforming_strings', 'TimeZone')
"""


def kept(url: str) -> dict[int, set[str]]:
    """What the sessions of a pool keep, by their processes: transactions that take all of them."""
    found: dict[int, set[str]] = {}
    with contextlib.ExitStack() as opened:
        for _ in range(POOL_SIZE):
            session = opened.enter_context(psycopg.connect(url, prepare_threshold=None))
            [(process,)] = session.execute("SELECT pg_backend_pid()")
            found[process] = {row[0] for row in session.execute(KEPT)}
    return found


def use_everything(service: Service, _number: int) -> None:
    """Do each kind of thing with the store, well and badly."""
    agent, token = service.register(), service.create_token("service", service.operator)["token"]
    once = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
    service.rotate(agent.key, forged("rs"))
    service.rotate(agent.key, agent.secret, **once)
    new = after_rotation(agent, service.rotate(agent.key, agent.secret, **once))
    service.rotate(agent.key, agent.secret)
    service.verify_batch(token, new.key, agent.key, forged("ak"))
    service.verify(token, new.key, 1).raise_for_status()
    service.audit(agentId=agent.id)
    service.listed("/v1/agents", service.operator, q=agent.name)
    service.revoke_self(new.key, new.secret).raise_for_status()


def test_no_session_keeps_anything_of_whom_it_was_lent_to(pgbouncer: Pooler) -> None:
    url = pgbouncer.new_database()
    role = conninfo_to_dict(url)["user"]
    with running_server(database=url, trusted_proxies=PROXIES) as server:
        service = service_of(server)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(partial(use_everything, service), range(AT_ONCE)))
        server.stop()
    lent = pgbouncer.cluster.run(f"SELECT pid FROM pg_stat_activity WHERE usename = '{role}'")
    found = kept(url)
    assert 1 < len(lent) <= POOL_SIZE
    assert {process for (process,) in lent} <= set(found)
    assert not set().union(*found.values())


def test_what_a_session_keeps_is_found(pgbouncer: Pooler) -> None:
    url = pgbouncer.new_database()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("PREPARE p AS SELECT 1; LISTEN c; SELECT pg_advisory_lock(1)")
        session.execute("CREATE TEMP TABLE t (); SET statement_timeout = 60000; SET work_mem = 999")
        session.execute("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT 1; COMMIT")
    everything = {"statement", "cursor", "table", "channel", "lock"}
    settings = {"setting statement_timeout", "setting work_mem"}
    assert set().union(*kept(url).values()) == everything | settings


@dataclass
class Load:
    """Clients that rotate agents of their own without pause, and see each time which key is good.

    Each repeats what was not done, with the same idempotency key, until it is.
    """

    service: Service
    rotated: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    clients: list[Future[Agent]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.clients += [pool.submit(self._rotate) for _ in range(AT_ONCE)]
            try:
                yield
            finally:
                self.stopping.set()

    def wait_for_more(self, counted: list[str], more: int) -> None:
        """Return when so many more are counted; raises what a client has seen that is wrong."""
        target = len(counted) + more
        eventually(lambda: len(counted) >= target or any(client.done() for client in self.clients))
        for client in self.clients:
            if client.done():
                client.result()

    def _rotate(self) -> Agent:
        agent = self.service.register()
        while not self.stopping.is_set():
            once = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
            rotate = partial(self.service.rotate, agent.key, agent.secret, **once)
            old, agent = agent, after_rotation(agent, self._answer(agent, rotate))
            for key, status in (old.key, 401), (agent.key, 200):
                check = partial(self.service.forward, key)
                assert self._answer(agent, check).status_code == status
            self.rotated.append(agent.id)
        return agent

    def _answer(self, agent: Agent, ask: Callable[[], httpx.Response]) -> httpx.Response:
        while (answer := ask()).status_code == 503:
            assert_unavailable(answer)
            self.refused.append(agent.id)
            time.sleep(0.02)
        return answer


def test_a_pooler_that_is_killed_under_load_costs_no_rotation_and_no_truth(
    postgres: Cluster,
) -> None:
    with (
        running_pooler(postgres) as pooler,
        running_server(database=pooler.new_database(), trusted_proxies=PROXIES) as server,
    ):
        service = service_of(server)
        load = Load(service)
        with load.running():
            for _ in range(RESTARTS):
                load.wait_for_more(load.rotated, AT_ONCE)
                pooler.stop()
                load.wait_for_more(load.refused, AT_ONCE)
                assert_unavailable(service.get("/readyz"))
                assert service.get("/healthz").status_code == 200
                pooler.start()
                eventually(lambda: service.get("/readyz").status_code == 200)
            load.wait_for_more(load.rotated, AT_ONCE)
        rotations = Counter(load.rotated)
        for agent in (client.result() for client in load.clients):
            assert service.inspect(agent.id)["generation"] == 1 + rotations[agent.id]
            assert service.whoami(agent.key).status_code == 200
