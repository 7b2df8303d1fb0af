"""An installation in a folder: real stores, and a clock that is set by hand."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from keyturn.actions.authenticate import authenticate_developer
from keyturn.actions.guard_server_keys import register_server_keys
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.manage_developers import Welcomed, create_developer_locally
from keyturn.actions.read_audit import AuditFilter, list_audit
from keyturn.actions.register_agent import Application, Registered, register_agent
from keyturn.actions.rotate_credentials import Presented
from keyturn.actions.service import Call, Policy, Principal, Service
from keyturn.core.agent import BUILT_IN_OWNER, DAY, Agent
from keyturn.core.audit_trail import Entry
from keyturn.core.client_address import client_address
from keyturn.core.keyed_hash import Keyring, ServerKey
from keyturn.core.rate_limit import Limit
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import credentials_database, limits_database, prepare
from keyturn.storage.store import Result, Shape, Store, Transaction
from tests import sqlite
from tests.storage.batches import do

START = 1_800_000_000_000
SECOND = 1000
MINUTE = 60 * SECOND
FIRST_KEY = ServerKey("k1", b"1" * 32)
SECOND_KEY = ServerKey("k2", b"2" * 32)
POLICY = Policy(
    prefix="sk_live",
    registration="open",
    rotation_limit=Limit("rotation", 3, 900),
    registration_limit=Limit("registration", 200, 3600),
    registration_total=Limit("registration-total", 10_000, 3600),
    audit_retention_days=0,
    retired_retention_days=365,
)

_addresses = count(1)


class Clock:
    """The time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def wait(self, milliseconds: int = 0, *, days: int = 0) -> None:
        self.now += milliseconds + days * DAY


def make_databases(folder: Path) -> None:
    """What the first start of an installation makes."""
    prepare(credentials_database(folder / "keyturn.db"))
    prepare(limits_database(folder / "limits.db"))


class World:
    """One installation, whose databases have been made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self._opened = contextlib.ExitStack()
        self.service = self.process()

    def process(self, *keys: ServerKey) -> Service:
        """The installation as another process has it open."""
        service = Service(
            store=self._open(
                SqliteStore(credentials_database(self.folder / "keyturn.db"), _lost_commit)
            ),
            limits=self._open(
                SqliteStore(limits_database(self.folder / "limits.db"), _lost_commit)
            ),
            keyring=Keyring(keys or [FIRST_KEY]),
            policy=POLICY,
            now=self.clock,
            random_bytes=os.urandom,
        )
        do(register_server_keys(service))
        return service

    def close(self) -> None:
        self._opened.close()

    def with_policy(self, **changes: Any) -> Service:
        """The installation under other rules."""
        return replace(self.service, policy=replace(POLICY, **changes))

    def register(self, service: Service | None = None) -> Registered:
        """An agent that has registered itself."""
        return do(register_agent(service or self.service, call(), Application()))

    @cached_property
    def reader(self) -> Principal:
        """Who reads the trail in these tests, and has left no entry in it."""
        self.edit(
            "INSERT OR IGNORE INTO tokens (id, kind, developer_id, name, mac, server_key, last4, "
            f"created_at) SELECT 'reader', 'dt', '{BUILT_IN_OWNER}', '', x'00', id, '0000', 0 "
            "FROM server_keys LIMIT 1"
        )
        return Principal(BUILT_IN_OWNER, operator=True, token_id="reader")

    @cached_property
    def operator(self) -> Principal:
        """An operator, who is made when a test first needs one."""
        return self.developer("operator@example.com", operator=True)[1]

    def developer(
        self, email: str = "ada@example.com", *, operator: bool = False
    ) -> tuple[Welcomed, Principal]:
        """A new developer, and who they are to the service."""
        made = do(create_developer_locally(self.service, email, operator=operator))
        header = f"Bearer {made.token.reveal()}"
        return made, do(authenticate_developer(self.service, call(), header))

    def agent(self, agent_id: str) -> Agent:
        """The agent as it is kept."""
        found = self.look(lambda tx: tx.one(Agent, "agent_by_id", id=agent_id))
        if found is None:
            raise LookupError(agent_id)
        return found

    def exists(self, agent_id: str) -> bool:
        return self.look(lambda tx: tx.one(Agent, "agent_by_id", id=agent_id)) is not None

    def look(self, work: Callable[[Transaction], Result]) -> Result:
        """Read, also where a loop runs: SQLite never has to be waited for."""
        coming = self.service.store.read(work).__await__()
        try:
            next(coming)
        except StopIteration as done:
            found: Result = done.value
            return found
        raise AssertionError("the store is being waited for")

    def trail(self, **chosen: Any) -> list[Entry]:
        """What an operator sees of the trail, in the order in which it happened."""
        page = do(
            list_audit(self.service, self.reader, AuditFilter(**chosen), cursor=None, limit=10_000)
        )
        return [numbered.entry for numbered in reversed(page.items)]

    def edit(self, statement: str, database: str = "keyturn.db") -> None:
        """Change the database in a way that no action offers."""
        with sqlite.opened(self.folder / database) as connection:
            connection.execute(statement)

    def quarantine(self, agent_id: str) -> None:
        self.edit(f"UPDATE agents SET status = 'quarantined' WHERE id = '{agent_id}'")

    def _open(self, store: SqliteStore) -> SqliteStore:
        self._opened.callback(store.close)
        return store


def _lost_commit() -> None:
    raise AssertionError("no disk fails in these tests")


def call(address: str | None = None) -> Call:
    """A request from this address, or from one that nobody else has."""
    if address is None:
        number = next(_addresses)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Call(client_address(address, [], []), "a request", "curl/8")


def presented(pair: Pair) -> Presented:
    """Both credentials as an agent sends them."""
    secret = pair.rotation_secret
    return Presented(bearer(pair), secret.reveal() if secret else None)


def bearer(pair: Pair) -> str:
    """The header with the API key."""
    return f"Bearer {pair.api_key.reveal()}"


class Around:
    """A store to which something is done before or after each write."""

    def __init__(
        self,
        store: Store,
        before: Callable[[], Awaitable[object]] | None = None,
        after: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._store = store
        self._before = before
        self._after = after

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        return await self._store.look_up(shape, query, macs)

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        return await self._store.read(work)

    async def scan(self, work: Callable[[Transaction], Result]) -> Result:
        return await self._store.scan(work)

    async def write(
        self, work: Callable[[Transaction], Result], *, alone: Iterable[str] = ()
    ) -> Result:
        if self._before is not None:
            await self._before()
        result = await self._store.write(work, alone=alone)
        if self._after is not None:
            await self._after()
        return result

    async def scrub(self) -> None:
        await self._store.scrub()

    async def finish_scrub(self) -> None:
        await self._store.finish_scrub()

    async def check(self) -> None:
        await self._store.check()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[World]:
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
