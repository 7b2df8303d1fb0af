"""What is begun without a task goes on by itself."""

import asyncio

from keyturn.api.begin import begin


def test_what_need_not_wait_is_there_at_once() -> None:
    async def asked() -> str:
        return "answer"

    told: list[str] = []
    assert begin(asked(), told.append) == "answer"
    assert told == []


def test_what_waits_is_told_as_soon_as_the_last_future_is_done() -> None:
    async def scenario() -> None:
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

        async def asked() -> str:
            parts: list[str] = [await first, await second]
            return "".join(parts)

        told: list[str] = []
        assert begin(asked(), told.append) is None
        first.set_result("an")
        await asyncio.sleep(0)
        assert told == []
        second.set_result("swer")
        await asyncio.sleep(0)
        assert told == ["answer"]

    asyncio.run(scenario())


def test_a_future_that_fails_raises_where_it_is_waited_for() -> None:
    async def scenario() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def asked() -> str:
            try:
                return await future
            except OSError as error:
                return str(error)

        told: list[str] = []
        assert begin(asked(), told.append) is None
        future.set_exception(OSError("gone"))
        await asyncio.sleep(0)
        assert told == ["gone"]

    asyncio.run(scenario())
