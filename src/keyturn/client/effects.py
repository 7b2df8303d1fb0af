"""What an operation asks for while it runs, and the two drivers that do it, sync and async.

An operation is a generator: it yields an effect and gets its result. So each is written once,
runs in both kinds of program, and can be tested as pairs of values, without sockets.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import httpx

from keyturn import __version__

Result = TypeVar("Result")

REQUEST_SECONDS = 10.0
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request to Keyturn. The result is an `Answer`, or `Lost`."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Let that many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Run(Generic[Result]):
    """Call something that blocks. What it raises is raised in the operation."""

    call: Callable[[], Result]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, at most 64 KiB of it."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer, or not all of it; nobody knows what the server did.

    A value and no exception, because an exception's traceback has the request's bytes in it.
    """

    reason: str


Effect: TypeAlias = Send | Wait | Run[Any]
Operation: TypeAlias = Generator[Effect, Any, Result]


def run(operation: Operation[Result]) -> Result:
    """Do what an operation asks for; its result."""
    with contextlib.ExitStack() as stack:
        http: httpx.Client | None = None
        result: object = None
        error: BaseException | None = None
        while True:
            try:
                effect = operation.send(result) if error is None else operation.throw(error)
            except StopIteration as done:
                value: Result = done.value
                return value
            result = error = None
            try:
                match effect:
                    case Send(request):
                        http = http or stack.enter_context(httpx.Client(**client_options()))
                        result = _exchange(http, request)
                    case Wait(seconds):
                        time.sleep(seconds)
                    case Run(call):
                        result = call()
            # Whatever it is, the operation has a lock to release.
            except BaseException as raised:
                error = raised


async def arun(operation: Operation[Result]) -> Result:
    """As `run`, without blocking the event loop. It can be cancelled at any time."""
    async with contextlib.AsyncExitStack() as stack:
        http: httpx.AsyncClient | None = None
        result: object = None
        error: BaseException | None = None
        while True:
            try:
                effect = operation.send(result) if error is None else operation.throw(error)
            except StopIteration as done:
                value: Result = done.value
                return value
            result = error = None
            try:
                match effect:
                    case Send(request):
                        if http is None:
                            client = httpx.AsyncClient(**client_options())
                            http = await stack.enter_async_context(client)
                        result = await exchange_async(http, request)
                    case Wait(seconds):
                        await anyio.sleep(seconds)
                    case Run(call):
                        result = await _in_thread(call)
            except BaseException as raised:
                error = raised


def client_options() -> dict[str, Any]:
    """How httpx sends what has a credential in it."""
    return {
        "timeout": REQUEST_SECONDS,
        # Credentials are for the address in the file, and for no other.
        "follow_redirects": False,
        # Plain http is for loopback, or was allowed: no proxy of the environment may read it.
        "mounts": {"http://": None},
        "headers": {"User-Agent": f"keyturn/{__version__}", "Accept-Encoding": "identity"},
    }


def _exchange(http: httpx.Client, request: httpx.Request) -> Answer | Lost:
    body = bytearray()
    try:
        response = http.send(request, stream=True)
        with contextlib.closing(response):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    break
    except httpx.RequestError as error:
        return _lost(error)
    return Answer(response.status_code, response.headers, bytes(body[:MAX_ANSWER]))


async def exchange_async(http: httpx.AsyncClient, request: httpx.Request) -> Answer | Lost:
    """What comes back for a request; nothing is raised."""
    body = bytearray()
    try:
        response = await http.send(request, stream=True)
        async with contextlib.aclosing(response):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    break
    except httpx.RequestError as error:
        return _lost(error)
    return Answer(response.status_code, response.headers, bytes(body[:MAX_ANSWER]))


def _lost(error: httpx.RequestError) -> Lost:
    # Only that of a failed connection helps, and it was made before anything was sent.
    told = f": {error}" if isinstance(error, httpx.ConnectError) and str(error) else ""
    return Lost(type(error).__name__ + told)


async def _in_thread(call: Callable[[], Result]) -> Result:
    """The result of `call`, made in a thread. A cancelled caller never leaves it running.

    Otherwise it could change the credentials file after the operation has released the lock.
    """
    mutex = threading.Lock()
    abandoned = False

    def guarded() -> Result:
        with mutex:
            if abandoned:
                raise RuntimeError("Nobody waits for this any more.")
            return call()

    try:
        return await anyio.to_thread.run_sync(guarded)
    except BaseException:
        with mutex:
            abandoned = True
        raise
