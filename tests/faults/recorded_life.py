"""A short life of an installation, with everything that it does to its database recorded."""

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unittest import mock

from keyturn.actions.guard_server_keys import register_server_keys
from keyturn.actions.issue_credentials import Pair
from keyturn.actions.rotate_credentials import rotate_own_credentials
from keyturn.actions.service import Service
from keyturn.storage import sqlite
from keyturn.storage.sqlite import SqliteStore
from keyturn.storage.sqlite_file import Database, credentials_database, prepare
from tests.actions.world import World, call, make_databases, opened, presented
from tests.storage.batches import do

from .disk import Operation, Record
from .recorded_sqlite import recorded_sqlite

DATABASE = "keyturn.db"
AGENTS = 3
ROUNDS = 3
CHECKPOINT_PAGES = 16
WAL_PAGES_CAP = 48
"""So that a short life has many checkpoints: they are what writes into the database itself."""

Macs = tuple[bytes, bytes | None]


@dataclass(frozen=True)
class Life:
    """What was done to a database, and for each agent the kept form of every pair it was given."""

    operations: list[Operation]
    macs: dict[str, list[Macs]]


def live(synchronous: Literal["FULL", "NORMAL"]) -> Life:
    """Agents register and rotate, several in one commit; the store is closed and opened again.

    What is acknowledged is the id of an agent and its generation.
    """
    with contextlib.ExitStack() as during:
        # The rest of the installation is another one's: only this database is looked at.
        elsewhere, folder = (
            Path(during.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-cut-")))
            for _ in range(2)
        )
        make_databases(elsewhere)
        world = during.enter_context(opened(elsewhere))
        during.enter_context(mock.patch.object(sqlite, "CHECKPOINT_PAGES", CHECKPOINT_PAGES))
        during.enter_context(mock.patch.object(sqlite, "WAL_PAGES_CAP", WAL_PAGES_CAP))
        record = Record(folder)
        database = replace(credentials_database(folder / DATABASE), synchronous=synchronous)
        agents: list[_Agent] = []
        during.enter_context(recorded_sqlite(record))
        for _ in range(2):
            _open_and_rotate(world, database, agents, record)
    return Life(record.operations, {agent.id: agent.macs for agent in agents})


class _Agent:
    """Somebody who rotates, and takes down what they are told."""

    def __init__(self, world: World, service: Service, record: Record) -> None:
        registered = world.register(service)
        self.id = registered.agent_id
        self.macs: list[Macs] = []
        self._record = record
        self._take(service, registered.pair)

    async def rotate(self, service: Service) -> None:
        issued = await rotate_own_credentials(service, call(), presented(self._pair))
        self._take(service, issued.pair)

    def _take(self, service: Service, pair: Pair) -> None:
        self._pair = pair
        key, secret = pair.api_key, pair.rotation_secret
        mac = service.keyring.mac
        self.macs.append((mac(key).digest, mac(secret).digest if secret else None))
        self._record.acknowledge((self.id, len(self.macs)))


def _open_and_rotate(
    world: World, database: Database, agents: list[_Agent], record: Record
) -> None:
    prepare(database)
    with contextlib.closing(SqliteStore(database, lost_commit)) as store:
        service = replace(world.service, store=store)
        do(register_server_keys(service))
        agents += [_Agent(world, service, record) for _ in range(AGENTS)]
        do(_rotate_together(service, agents))
        do(store.scrub())
        do(_rotate_together(service, agents))


async def _rotate_together(service: Service, agents: list[_Agent]) -> None:
    for _ in range(ROUNDS):
        await asyncio.gather(*(agent.rotate(service) for agent in agents))


def lost_commit() -> None:
    raise AssertionError("no disk fails here")
