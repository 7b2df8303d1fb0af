"""Answers checks in the parser's callbacks, before a task, a scope and an application are made.

A request takes the short way if it is a check of the plainest form: kept-alive HTTP/1.1 with
nothing before it that is unanswered, its body small and announced. Whatever is out of the
ordinary goes on to the application, which gives the same answers.
"""

import asyncio
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from keyturn.api.checks import Checks, Later, Route, Told
from keyturn.api.first_refusals import is_small
from keyturn.api.messages import Reply, Request
from keyturn.http_protocol import HttpProtocol

MAX_AT_ONCE = 16
"""Pipelined checks that are answered in one go: other connections want their turn too."""
_PLAIN_METHODS = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})


class _Check(NamedTuple):
    checks: Checks
    route: Route
    request: Request


class _Waiting(RequestResponseCycle):
    """Stands where uvicorn keeps what it answers, while a check waits for the store.

    So requests that come behind it, the end of the connection and that of the service find what
    they look for.
    """

    message_event = asyncio.Event()
    """Nobody waits for it."""

    def __init__(self) -> None:
        self.more_body = self.response_complete = self.disconnected = False
        self.keep_alive = True


class CheckProtocol(HttpProtocol):
    """One connection to `keyturn serve`."""

    _check: _Check | None = None
    _waiting: _Waiting
    _idle = False
    _answered = 0

    def data_received(self, data: bytes) -> None:
        self._answered = 0
        super().data_received(data)
        if self._check is not None:
            # Its body comes slowly, and may never be complete.
            self._hand_over(self._check.request)

    def on_message_begin(self) -> None:
        if self._idle:
            self._idle, self._due = False, None
        self._begin_head()
        # What `super` makes for the application, `on_headers_complete` makes when it is needed.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._check = self._plain_check()
        if self._check is None:
            self._go_on()
        else:
            self._in_head, self._due = False, None

    def on_body(self, body: bytes) -> None:
        if self._check is None:
            super().on_body(body)
        else:
            self._parsed = True
            self._check.request.body += body

    def on_message_complete(self) -> None:
        if self._check is None:
            super().on_message_complete()
            return
        self._parsed = True
        checks, route, request = self._check
        self._check = None
        told = checks.answer(route, request, self._tell)
        if isinstance(told, Reply):
            self._write(told)
            self._await_next()
            return
        self._waiting = self._running = self.cycle = _Waiting()
        if told is not None:
            self._tell(told)

    def _plain_check(self) -> _Check | None:
        checks: Checks | None = getattr(self.app, "checks", None)
        path, _, query = self.url.partition(b"?")
        route = checks.route(path.decode("latin-1")) if checks else None
        if checks is None or route is None or b"%" in path or self.root_path:
            return None
        method, named = self.parser.get_method(), dict(self.headers)
        length = named.get(b"content-length", b"0")
        if (
            method not in _PLAIN_METHODS
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
            or self.parser.should_upgrade()
            or self.expect_100_continue
            or b"transfer-encoding" in named
            or not (is_small(length) if route.reads_body else length == b"0")
            or self._is_answering()
            or self._answered >= MAX_AT_ONCE
            or self.flow.write_paused
        ):
            return None
        request = Request(method.decode(), query, self.headers, named, self.client)
        return _Check(checks, route, request)

    def _hand_over(self, request: Request) -> None:
        self._check = None
        self._go_on()
        super().on_body(request.body)

    def _go_on(self) -> None:
        """Give the request to the application, as if nobody had looked at it."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _tell(self, told: Told) -> None:
        """The check that waits has its answer, or must go on in a task."""
        if isinstance(told, Reply):
            self._answer(told)
            return
        task = self.loop.create_task(self._finish(told))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(self, later: Later) -> None:
        self._answer(await later())

    def _answer(self, reply: Reply) -> None:
        waiting = self._waiting
        waiting.response_complete = True
        if self.transport.is_closing():
            return
        if not waiting.keep_alive:
            reply.headers.append((b"connection", b"close"))
        self._write(reply)
        if not waiting.keep_alive:
            self.transport.close()
        if self.pipeline or self._refused is not None or self._has_said_last:
            self.on_response_complete()
        else:
            self._await_next()

    def _write(self, reply: Reply) -> None:
        head = reply.head(self.server_state.default_headers)
        self.transport.write(STATUS_LINE[reply.status] + head + reply.body)
        self._answered += 1

    def _await_next(self) -> None:
        self.server_state.total_requests += 1
        if self._in_head:
            self._await_head()
        else:
            self._idle = True
            self._end_at(self.loop.time() + self.timeout_keep_alive)
