"""Reads on PostgreSQL: they share messages, are fresh, bounded, and outlive a silent server."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyturn.core.agent import Agent
from keyturn.core.errors import Unavailable
from keyturn.storage import postgres_reads
from keyturn.storage.postgres_line import Line
from tests.postgres import Cluster
from tests.storage.backends import ClosableStore, Place, Postgres
from tests.storage.batches import PATIENCE, do, outcomes

NAMES = "abcde"


@pytest.fixture
def place(postgres: Cluster, tmp_path: Path) -> Place:
    return Postgres().new_place(postgres, tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[ClosableStore]:
    with place.opened() as opened:
        for name in NAMES:
            do(opened.write(place.put(name, 1)))
        yield opened


class Messages:
    """Every message of look-ups; a held one is answered, but nobody is told yet."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        self._answered, self._released = asyncio.Event(), asyncio.Event()
        self._hold = False
        run = Line.run

        async def watched(line: Line, text: str, seconds: float) -> Any:
            self.sent.append(text)
            rows = await run(line, text, seconds)
            if self._hold:
                self._hold = False
                self._answered.set()
                await self._released.wait()
            return rows

        patch.setattr(Line, "run", watched)

    @contextlib.asynccontextmanager
    async def held(self, first: Awaitable[Any]) -> AsyncIterator[asyncio.Future[Any]]:
        """The first look-up has had its answer from the server, and is not told within."""
        self._hold = True
        task = asyncio.ensure_future(first)
        async with asyncio.timeout(PATIENCE):
            await self._answered.wait()
        yield task
        self._released.set()
        await task


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    return Messages(monkeypatch)


async def balances(store: ClosableStore, *names: str) -> list[int]:
    found = await store.look_up(Agent, "agent_by_key", [name.encode() for name in names])
    return [agent.credit_balance for agent in found]


def test_look_ups_of_one_moment_share_a_message(store: ClosableStore, messages: Messages) -> None:
    async def scenario() -> None:
        found = await asyncio.gather(
            *(balances(store, name) for name in NAMES), balances(store, "nobody", "a")
        )
        assert found == [[1]] * 6

    asyncio.run(scenario())
    [sent] = messages.sent
    assert all(name.encode().hex() in sent for name in (*NAMES, "nobody"))


def test_look_ups_that_come_meanwhile_share_the_next_message(
    store: ClosableStore, messages: Messages
) -> None:
    async def scenario() -> None:
        async with messages.held(balances(store, "a")):
            others = [asyncio.ensure_future(balances(store, name)) for name in NAMES]
            await asyncio.sleep(0)
            assert len(messages.sent) == 1
        assert await asyncio.gather(*others) == [[1]] * 5

    asyncio.run(scenario())
    assert len(messages.sent) == 2


def test_a_look_up_never_shares_an_answer_that_is_older_than_itself(
    place: Place, store: ClosableStore, messages: Messages
) -> None:
    async def scenario() -> None:
        async with messages.held(balances(store, "a")) as before:
            await store.write(place.put("a", 2))
            after = asyncio.ensure_future(balances(store, "a"))
        assert (await before, await after) == ([1], [2])

    asyncio.run(scenario())


def test_statements_that_share_a_message_get_their_own_rows(
    store: ClosableStore, messages: Messages
) -> None:
    async def newest() -> list[str]:
        found = await store.look_up(Agent, "agent_by_key_or_newest", [b"nobody", b"b"])
        return [agent.name for agent in found]

    async def scenario() -> None:
        asked = (balances(store, "a"), newest(), balances(store, "nobody"))
        found = tuple(await asyncio.gather(*asked))
        assert found == ([1], ["e", "b"], [])

    asyncio.run(scenario())
    assert len(messages.sent) == 1


@pytest.mark.parametrize("kind", ["look up", "read"])
def test_past_so_many_that_wait_others_are_refused_at_once(
    place: Place, store: ClosableStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(postgres_reads, "MAX_WAITING", 3)

    async def scenario() -> None:
        asked = [
            balances(store, "a") if kind == "look up" else store.read(place.get("a"))
            for _ in range(5)
        ]
        found = await outcomes([asyncio.ensure_future(each) for each in asked])
        assert [isinstance(each, Unavailable) for each in found] == [False] * 3 + [True] * 2
        assert await balances(store, "a") == [1]

    asyncio.run(scenario())


def test_a_message_carries_only_so_many_values_and_what_came_first_goes_first(
    store: ClosableStore, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reads, "MESSAGE_MACS", 3)

    async def scenario() -> None:
        asked = ["ab", "c", "de", "abcde", "a"]
        found = await asyncio.gather(*(balances(store, *names) for names in asked))
        assert found == [[1] * len(names) for names in asked]

    asyncio.run(scenario())
    letters = {name.encode().hex() for name in NAMES}
    values = [re.findall("[0-9a-f]+", each) for each in messages.sent]
    assert [sum(value in letters for value in each) for each in values] == [3, 2, 5, 1]


@pytest.mark.usefixtures("hurried")
def test_look_ups_that_need_many_messages_do_not_wait_for_a_silent_server_one_by_one(
    postgres: Cluster, store: ClosableStore, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reads, "MESSAGE_MACS", 1)

    async def scenario() -> None:
        await balances(store, "a")
        messages.sent.clear()
        with silent(postgres):
            found = await outcomes([asyncio.ensure_future(balances(store, "a")) for _ in range(9)])
        assert [type(each) for each in found] == [Unavailable] * 9

    asyncio.run(scenario())
    assert len(messages.sent) <= 2


def test_past_so_many_values_that_wait_others_are_refused_at_once(
    store: ClosableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reads, "MAX_WAITING_MACS", 3)

    async def scenario() -> None:
        asked = ["abcd", "a", "ab", "c"]
        for names, others in (asked, [0, 1, 1, 1]), (asked[1:], [0, 0, 1]):
            found = await outcomes(
                [asyncio.ensure_future(balances(store, *each)) for each in names]
            )
            assert [isinstance(each, Unavailable) for each in found] == others

    asyncio.run(scenario())


def backends(cluster: Cluster) -> list[int]:
    found = cluster.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'keyturn'")
    return [pid for (pid,) in found]


@contextlib.contextmanager
def silent(cluster: Cluster) -> Iterator[None]:
    """Every session that is open now stops to answer, without hanging up."""
    stopped = backends(cluster)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores opened from now on give a silent server up soon."""
    monkeypatch.setattr("keyturn.storage.postgres_reads.GRACE_SECONDS", 0.1)
    monkeypatch.setattr("keyturn.storage.postgres_reads.LOOK_UP_MILLISECONDS", 200)
    for what in ("READ", "SCAN"):
        monkeypatch.setattr(f"keyturn.storage.postgres.{what}_MILLISECONDS", 200)
    monkeypatch.setattr("keyturn.storage.postgres.ANSWER_SECONDS", 0.3)


WORK: dict[str, Callable[[ClosableStore, Place], Awaitable[Any]]] = {
    "a look-up": lambda store, _: balances(store, "a"),
    "a read": lambda store, place: store.read(place.get("a")),
    "a scan": lambda store, place: store.scan(place.get("a")),
    "a change": lambda store, place: store.write(place.put("b", 2)),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_a_server_that_falls_silent_is_hung_up_on_and_asked_anew(
    postgres: Cluster,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[ClosableStore, Place], Awaitable[Any]],
) -> None:
    async def scenario(store: ClosableStore) -> None:
        await store.write(place.put("a", 1))
        expected = await work(store, place)
        with silent(postgres):
            [found] = await outcomes([asyncio.ensure_future(work(store, place))])
            assert isinstance(found, Unavailable)
            monkeypatch.undo()
            # The stopped sessions are left to themselves.
            assert await work(store, place) == expected

    with place.opened() as store:
        asyncio.run(scenario(store))


def test_a_look_up_whose_connection_is_gone_goes_on_another(
    postgres: Cluster, store: ClosableStore
) -> None:
    async def scenario() -> None:
        assert await balances(store, "a") == [1]
        for pid in backends(postgres):
            postgres.run(f"SELECT pg_terminate_backend({pid})")
        assert await balances(store, "a") == [1]

    asyncio.run(scenario())


def test_look_ups_that_fail_are_unavailable_and_the_next_go_well(
    postgres: Cluster, store: ClosableStore
) -> None:
    async def scenario() -> None:
        postgres.stop(signal.SIGQUIT)
        found = await asyncio.gather(
            *(balances(store, name) for name in NAMES), return_exceptions=True
        )
        assert [type(each) for each in found] == [Unavailable] * 5
        postgres.start()
        assert await balances(store, "a") == [1]

    asyncio.run(scenario())
