"""Bugs of one service in several processes, put in on purpose: the histories must show each.

`python -m tests.faults.history_bugs BUG serve …` serves with one of them.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import psycopg

from keyturn.actions import rotate_credentials, verify_key
from keyturn.actions.find_agent import kept_now, own_agent
from keyturn.actions.issue_credentials import Issued, swap
from keyturn.actions.service import Service
from keyturn.cli.main import main
from keyturn.core.agent import Agent
from keyturn.core.credential import Credential
from keyturn.core.errors import InvalidCredentials
from keyturn.storage.group_commit import Conflict
from keyturn.storage.postgres import WriterConnection
from keyturn.storage.postgres_reads import LookUps
from keyturn.storage.postgres_server import credentials_database, statements
from keyturn.storage.store import Transaction
from keyturn.testing import Server
from tests.postgres import running_cluster

from . import histories, server_bugs
from .outcome import Outcome
from .server_bugs import put

RUNS = 1
HISTORIES = 30
"""In which a bug must have been seen."""
WHILE = 1.0
"""How many seconds a process goes by what it has known."""
SELDOM = 0.1


def checks_are_cached() -> None:
    """What a check has found stands for a second."""
    known: dict[str, tuple[float, Agent | None]] = {}

    async def cached(service: Service, shape: Any, query: str, key: Credential) -> Agent | None:
        now = time.monotonic()
        at, agent = known.get(key.reveal(), (-WHILE, None))
        if now - at >= WHILE:
            agent = await kept_now(service, shape, query, key)
            known[key.reveal()] = now, agent
        return agent

    put(verify_key, "kept_now", cached)


def checks_ask_a_stale_replica() -> None:
    """Checks see the database as it was up to a second ago."""
    replica = Replica()

    async def replicated(service: Service, shape: Any, query: str, key: Credential) -> Agent | None:
        row = replica.row(query, service.keyring.mac(key).digest)
        return None if row is None else shape(*row)

    put(verify_key, "kept_now", replicated)


class Replica:
    """A snapshot of the database that is renewed every second."""

    def __init__(self) -> None:
        self._url = os.environ["KEYTURN_DATABASE"]
        self._statements = statements(credentials_database(self._url))
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._began = -WHILE

    def row(self, query: str, mac: bytes) -> tuple[Any, ...] | None:
        with suppress(psycopg.Error):
            return self._ask(query, mac)
        self._connection = None  # It was cut.
        return self._ask(query, mac)

    def _ask(self, query: str, mac: bytes) -> tuple[Any, ...] | None:
        if self._connection is None:
            self._connection = psycopg.connect(self._url)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        elif time.monotonic() - self._began >= WHILE:
            self._connection.rollback()
            self._began = time.monotonic()
        return self._connection.execute(self._statements[query], {"mac": mac}).fetchone()


def old_key_lives_on_where_it_was_rotated() -> None:
    """The process that rotated accepts the old key for a second more."""
    retired: dict[str, tuple[float, Agent]] = {}

    def swap_gently(
        tx: Transaction, service: Service, agent: Agent, pair: Any, shown: Any = None, *rest: Any
    ) -> bool:
        swapped = swap(tx, service, agent, pair, shown, *rest)
        if swapped and shown is not None:
            retired[shown.key.reveal()] = time.monotonic(), agent
        return swapped

    async def lenient(service: Service, shape: Any, query: str, key: Credential) -> Agent | None:
        at, agent = retired.get(key.reveal(), (-WHILE, None))
        live = time.monotonic() - at < WHILE
        return agent if live else await kept_now(service, shape, query, key)

    put(rotate_credentials, "swap", swap_gently)
    put(verify_key, "kept_now", lenient)


def refused_though_kept() -> None:
    """A rotation that was kept is sometimes answered with 401."""
    rotate = rotate_credentials._rotate

    async def rotate_and_deny(*arguments: Any) -> Issued:
        issued = await rotate(*arguments)
        if random.random() < SELDOM:
            raise InvalidCredentials
        return issued

    put(rotate_credentials, "_rotate", rotate_and_deny)


def commits_of_unknown_outcome_are_tried_again() -> None:
    """The connection is lost in a COMMIT that was kept, and the change is made once more."""
    commit = WriterConnection.commit

    def commit_and_forget(self: WriterConnection) -> None:
        commit(self)
        if random.random() < SELDOM:
            raise Conflict("the connection is lost")

    put(WriterConnection, "commit", commit_and_forget)


def answered_though_undone() -> None:
    """A commit sometimes fails, and nobody looks."""
    commit = WriterConnection.commit

    def hope(self: WriterConnection) -> None:
        if random.random() < SELDOM:
            self.rollback()
        else:
            commit(self)

    put(WriterConnection, "commit", hope)


def writers_lock_nothing() -> None:
    """Changes of one agent overlap where two processes make them."""
    begin = WriterConnection.begin

    def rush(
        self: WriterConnection, alone: Collection[str], waits_for: Collection[str], /
    ) -> tuple[Transaction, Collection[str]]:
        del alone, waits_for
        return begin(self, (), ())

    put(WriterConnection, "begin", rush)


def developers_act_on_what_they_knew() -> None:
    """A developer's rotation goes by the agent as it was, and does not look whether it still is."""
    known: dict[str, tuple[float, Agent]] = {}

    def remembered(tx: Transaction, principal: Any, agent_id: str) -> Agent:
        now = time.monotonic()
        if agent_id not in known or now - known[agent_id][0] >= WHILE:
            known[agent_id] = now, own_agent(tx, principal, agent_id)
        return known[agent_id][1]

    put(rotate_credentials, "own_agent", remembered)


def rows_of_two_checks_are_swapped() -> None:
    """Of look-ups that share a message, two get each other's rows."""
    ask = LookUps._ask

    async def swapped(self: LookUps, asked: list[Any]) -> None:
        if len(asked) > 1:
            asked[0].macs, asked[1].macs = asked[1].macs, asked[0].macs
        await ask(self, asked)

    put(LookUps, "_ask", swapped)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        checks_are_cached,
        checks_ask_a_stale_replica,
        old_key_lives_on_where_it_was_rotated,
        refused_though_kept,
        commits_of_unknown_outcome_are_tried_again,
        answered_though_undone,
        writers_lock_nothing,
        developers_act_on_what_they_knew,
        rows_of_two_checks_are_swapped,
        server_bugs.no_compare_and_swap,
        server_bugs.answered_before_the_commit,
        server_bugs.burnt_by_the_first_repeat,
        server_bugs.repeated_after_a_revocation,
        server_bugs.repeated_after_a_developer_rotated,
        server_bugs.repeated_for_any_idempotency_key,
    )
}


def run(runs: int, seed: int) -> Outcome:
    """See every bug, each of them `runs` times."""
    return see(tuple(BUGS), runs, seed)


def see(bugs: tuple[str, ...], runs: int, seed: int) -> Outcome:
    """Record histories of a service with each bug until one can't be explained."""
    outcome = Outcome()
    with running_cluster() as cluster:
        for number in range(runs):
            for bug in bugs:
                program = (sys.executable, "-m", "tests.faults.history_bugs", bug)
                buggy = type("Buggy", (Server,), {"program": program})
                found = histories.run(
                    HISTORIES, seed + number, server=buggy, cluster=cluster, until_seen=True
                )
                seen = bool(found.violations)
                outcome.check(seen, f"{bug}: not seen in {found.runs} histories")
                outcome.note("bugs seen", int(seen))
                outcome.note(f"histories until {bug} was seen", found.runs)
                outcome.runs += found.runs
    return outcome


if __name__ == "__main__":
    bug = BUGS[sys.argv.pop(1)]
    if sys.argv[1] == "serve":
        bug()
    main()
