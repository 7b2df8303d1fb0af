"""An asynchronous program may stop waiting at any moment, and loses nothing."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from keyturn.client import AsyncAgent
from keyturn.client.effects import Operation, Run, arun
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, served
from tests.client.steps import file_of, knows_the_pair, stored_of


@pytest.mark.parametrize("delay", [step / 250 for step in range(12)])
def test_a_rotation_that_is_cancelled_leaves_what_the_next_needs(
    tmp_path: Path, delay: float
) -> None:
    fake = FakeKeyturn()

    async def cancelled(path: Path) -> None:
        task = asyncio.create_task(AsyncAgent(path).rotate())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.wait([task])

    with served(fake) as url:
        file = file_of(tmp_path, stored_of(fake, url))
        asyncio.run(cancelled(file.path))
        lock = file.lock()
        assert lock.try_acquire()
        lock.release()
        asyncio.run(AsyncAgent(file.path).rotate())
    assert knows_the_pair(file, fake)


def test_what_runs_in_a_thread_is_over_before_the_operation_is_told() -> None:
    events: list[str] = []
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        time.sleep(0.2)
        events.append("written")

    def operation() -> Operation[None]:
        try:
            yield Run(slow)
        finally:
            events.append("let go")

    async def cancelled() -> None:
        task = asyncio.create_task(arun(operation()))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(cancelled())
    assert events == ["written", "let go"]


def test_other_tasks_go_on_while_a_rotation_waits(tmp_path: Path) -> None:
    fake = FakeKeyturn(faults=[world.never_arrives] * 2)
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def both(path: Path) -> None:
        task = asyncio.create_task(ticking())
        await AsyncAgent(path).rotate()
        task.cancel()

    with served(fake) as url:
        file = file_of(tmp_path, stored_of(fake, url))
        asyncio.run(both(file.path))
    assert knows_the_pair(file, fake)
    assert ticks > 5
