"""What is PostgreSQL's own: its migrations, lost connections, and commits of unknown outcome."""

import asyncio
import contextlib
import secrets
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keyturn.core.agent import Agent
from keyturn.core.errors import Unavailable
from keyturn.storage import migrations
from keyturn.storage.group_commit import CONFLICT_TRIES
from keyturn.storage.postgres_server import Database, credentials_database, prepare
from keyturn.storage.store import Transaction, UnusableDatabase
from tests.postgres import Cluster
from tests.storage.backends import ClosableStore, Place, Postgres
from tests.storage.batches import PATIENCE, Gate, do, outcomes, together, waiting

SCHEMA = len(migrations.scripts("postgres"))


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture
def described(url: str) -> Database:
    return credentials_database(url)


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    Postgres().place(tmp_path, url)
    return Place("postgres", "keyturn.db", tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[ClosableStore]:
    lost: list[str] = []
    with place.opened(lambda: lost.append("a commit")) as opened:
        yield opened
    assert lost == []


def run(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def disconnect(cluster: Cluster) -> None:
    """End every connection that a store has."""
    cluster.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyturn'"
    )


def tables(url: str) -> list[str]:
    found = run(
        url, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    )
    return [name for (name,) in found]


def test_processes_that_start_at_once_make_one_schema(described: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(prepare, [described] * 8)) == [SCHEMA] * 8
    assert prepare(described) == SCHEMA
    assert run(described.url, "SELECT count(*) FROM developers") == [(1,)]


def test_a_schema_from_the_future_is_refused(described: Database) -> None:
    prepare(described)
    run(described.url, f"UPDATE keyturn_schema SET version = {SCHEMA + 1}")
    with pytest.raises(UnusableDatabase, match=f"has schema {SCHEMA + 1} and this Keyturn knows"):
        prepare(described)


def test_another_programs_tables_are_refused_and_left_alone(described: Database) -> None:
    run(described.url, "CREATE TABLE agents (theirs INTEGER)")
    with pytest.raises(UnusableDatabase, match='relation "agents" already exists'):
        prepare(described)
    assert tables(described.url) == ["agents"]


def test_a_database_that_can_not_keep_every_text_is_refused(postgres: Cluster) -> None:
    name = f"ascii_{secrets.token_hex(4)}"
    postgres.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    url = postgres.url.replace("/postgres?", f"/{name}?")
    with pytest.raises(UnusableDatabase, match="has the encoding SQL_ASCII, not UTF8"):
        prepare(credentials_database(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:s3cret@127.0.0.1:1/keyturn",
        "postgresql://someone:s3cret@127.0.0.1:port/keyturn",
        "postgresql://someone:s3cret@[::1/keyturn",
        "postgresql://someone:s3cret@127.0.0.1/keyturn?nothing=known",
    ],
)
def test_a_server_that_can_not_be_reached_is_told_of_without_its_password(url: str) -> None:
    with pytest.raises(UnusableDatabase) as refused:
        prepare(credentials_database(url))
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(credentials_database(url))


def test_an_entry_of_the_trail_is_never_changed(described: Database) -> None:
    prepare(described)
    with pytest.raises(psycopg.errors.RaiseException, match="audit entries are never changed"):
        run(described.url, "UPDATE audit SET action = 'nothing'")


def test_a_text_with_a_nul_in_it_finds_nothing(place: Place, store: ClosableStore) -> None:
    assert do(store.read(place.get("no\0body"))) is None


def conflict(url: str, times: int) -> None:
    """Let so many changes of agents be in another's way, wherever that is found out."""
    run(url, "CREATE SEQUENCE conflicts")
    run(
        url,
        f"""
        CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('conflicts') <= {times} THEN
                RAISE EXCEPTION 'in the way' USING ERRCODE = 'serialization_failure';
            END IF;
            RETURN NULL;
        END $$
        """,
    )


AT_ONCE = "CREATE TRIGGER conflicts AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION conflict()"
AT_COMMIT = AT_ONCE.replace("TRIGGER", "CONSTRAINT TRIGGER").replace(
    "agents FOR", "agents DEFERRABLE INITIALLY DEFERRED FOR"
)


@pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["at once", "at the commit"])
def test_a_change_that_was_in_anothers_way_is_made_again(
    url: str, place: Place, store: ClosableStore, when: str
) -> None:
    conflict(url, 3)
    run(url, when)
    assert asyncio.run(
        together(store, place.increment("a"), place.increment("a"), alone=["a"])
    ) == [1, 2]
    assert do(store.read(place.get("a"))) == 2


@pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["at once", "at the commit"])
def test_a_change_that_is_always_in_anothers_way_is_given_up_and_leaves_nothing(
    url: str, place: Place, store: ClosableStore, when: str
) -> None:
    conflict(url, CONFLICT_TRIES)
    run(url, when)
    with pytest.raises(Unavailable, match="in the way"):
        do(store.write(place.put("a", 1)))
    assert do(store.read(place.get("a"))) is None
    assert do(store.write(place.put("a", 2))) == 2


def test_connections_that_were_lost_while_nothing_happened_are_made_again(
    postgres: Cluster, place: Place, store: ClosableStore
) -> None:
    do(store.write(place.put("a", 1)))
    assert do(store.scan(place.get("a"))) == 1
    disconnect(postgres)
    assert do(store.read(place.get("a"))) == 1
    assert do(store.scan(place.get("a"))) == 1
    assert do(store.write(place.increment("a"), alone=["a"])) == 2


def test_a_connection_that_is_lost_within_a_change_leaves_nothing_of_it(
    postgres: Cluster, place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        gate = Gate()
        tasks = await waiting(store, place.put("a", 1), gate, place.put("a", 2))
        await gate.entered()
        await asyncio.to_thread(disconnect, postgres)
        gate.open()
        assert [type(each) for each in await outcomes(tasks)] == [Unavailable] * 3
        assert await store.read(place.get("a")) is None
        assert await store.write(place.increment("a"), alone=["a"]) == 1

    asyncio.run(scenario())


def test_a_server_that_crashes_has_all_that_was_acknowledged(
    postgres: Cluster, place: Place, store: ClosableStore
) -> None:
    do(store.write(place.put("a", 1)))
    postgres.stop(signal.SIGQUIT)
    with pytest.raises(Unavailable):
        do(store.read(place.get("a")))
    with pytest.raises(Unavailable):
        do(store.write(place.put("a", 2)))
    with pytest.raises(Unavailable):
        do(store.check())
    postgres.start()
    do(store.check())
    assert do(store.write(place.increment("a"), alone=["a"])) == 2


@contextlib.contextmanager
def absent_standby(cluster: Cluster) -> Iterator[None]:
    """Let every commit wait for a standby that does not come."""
    cluster.run("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    cluster.run("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        cluster.run("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.run("SELECT pg_reload_conf()")


async def during_the_commit(cluster: Cluster, function: str) -> None:
    """Call a function of the server's with the process whose commit waits for the standby."""
    call = f"SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(cluster.run, call):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_connection_that_is_lost_within_the_commit_is_an_unknown_outcome(
    postgres: Cluster, place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        with absent_standby(postgres):
            tasks = await waiting(store, place.put("a", 1), place.put("b", 1))
            await during_the_commit(postgres, "pg_terminate_backend")
            assert [type(each) for each in await outcomes(tasks)] == [Unavailable] * 2
        assert await store.read(place.get("a")) == await store.read(place.get("b"))
        assert await store.write(place.put("a", 2)) == 2

    asyncio.run(scenario())


def test_a_commit_that_no_standby_has_confirmed_is_not_acknowledged(
    postgres: Cluster, place: Place, store: ClosableStore
) -> None:
    async def scenario() -> None:
        with absent_standby(postgres):
            tasks = await waiting(store, place.put("a", 1))
            await during_the_commit(postgres, "pg_cancel_backend")
            [found] = await outcomes(tasks)
        assert isinstance(found, Unavailable)
        assert "synchronous replication" in str(found)
        assert await store.write(place.put("a", 2)) == 2

    asyncio.run(scenario())


def test_nobody_waits_for_ever_for_a_commit(
    postgres: Cluster, place: Place, store: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.ANSWER_SECONDS", 0.3)

    async def scenario() -> None:
        with absent_standby(postgres):
            first = await waiting(store, place.put("a", 1))
            [found] = await outcomes(first)
            assert isinstance(found, Unavailable)
        monkeypatch.undo()
        assert await store.write(place.put("a", 2)) == 2

    asyncio.run(scenario())


def test_closing_waits_for_no_standby_for_ever(
    postgres: Cluster, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.CLOSING_SECONDS", 0.2)

    async def scenario(store: ClosableStore) -> None:
        tasks = await waiting(store, place.put("a", 1))
        await asyncio.sleep(0.1)
        closing = threading.Thread(target=store.close, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, PATIENCE)
        assert not closing.is_alive()
        assert [type(each) for each in await outcomes(tasks)] == [Unavailable]

    with place.opened() as store, absent_standby(postgres):
        asyncio.run(scenario(store))


def test_a_commit_that_the_server_turned_into_a_rollback_is_not_acknowledged(
    place: Place, store: ClosableStore
) -> None:
    def swallow(tx: Transaction) -> None:
        place.counters.put(tx, "a", 1)
        with contextlib.suppress(psycopg.Error):
            place.counters.put(tx, "b", None)  # type: ignore[arg-type]

    with pytest.raises(Unavailable, match="ROLLBACK"):
        do(store.write(swallow))
    assert do(store.read(place.get("a"))) is None


def test_who_stands_still_within_a_change_loses_the_turn_and_keeps_nothing(
    place: Place, store: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.storage.postgres.WRITE_MILLISECONDS", 300)

    async def scenario(other: ClosableStore) -> None:
        gate = Gate()
        tasks = await waiting(store, place.put("a", 1), gate)
        await gate.entered()
        assert await other.write(place.put("a", 2)) == 2
        gate.open()
        assert [type(each) for each in await outcomes(tasks)] == [Unavailable] * 2

    with place.opened() as other:
        asyncio.run(scenario(other))
        assert do(other.read(place.get("a"))) == 2


@pytest.mark.parametrize(
    "statement", ["UPDATE keyturn_schema SET version = 99", "DELETE FROM keyturn_schema"]
)
def test_a_database_that_is_another_one_by_now_is_not_ready(
    url: str, store: ClosableStore, statement: str
) -> None:
    do(store.check())
    run(url, statement)
    with pytest.raises(Unavailable):
        do(store.check())


@pytest.mark.parametrize("backslashes", ["on", "off"])
@pytest.mark.parametrize(
    "name", ["'; DROP TABLE agents; --", "\\'; DROP TABLE agents; --", "%s %(id)s :id", "$1", "\\"]
)
def test_a_value_that_looks_like_a_statement_is_a_value(
    url: str, place: Place, name: str, backslashes: str
) -> None:
    run(url, f"ALTER ROLE CURRENT_USER SET standard_conforming_strings = {backslashes}")
    with place.opened() as store:
        do(store.write(place.put(name, 1)))
        assert do(store.read(place.get(name))) == 1
        do(store.write(lambda tx: place.counters.put_later(tx, name, 2)))
        assert do(store.read(place.get(name))) == 2
        found = do(store.look_up(Agent, "agent_by_key", [name.encode()]))
    assert [agent.name for agent in found] == [name]


def test_nothing_is_written_where_the_tables_are_gone(
    url: str, place: Place, store: ClosableStore
) -> None:
    run(url, "DROP TABLE keyturn_turns")
    with pytest.raises(Unavailable):
        do(store.write(place.put("a", 1), alone=["a"]))
    assert do(store.read(place.get("a"))) is None
