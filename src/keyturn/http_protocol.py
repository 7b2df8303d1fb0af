"""uvicorn's HTTP protocol with what a service on an open port needs besides.

The answer to bytes that are not HTTP is an error like any other, a request's head is bounded, a
connection that brings no request or takes no answer ends, and an offer to upgrade is ignored
instead of obeyed.
"""

import asyncio
import re
import secrets
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from keyturn.core.errors import InvalidCredentials, InvalidRequest
from keyturn.problems import problem
from keyturn.wire import FORWARD_AUTH

MAX_HEAD = 32 * 1024
HEAD_SECONDS = 15.0
WATCH_SECONDS = 5.0
HANGING_UP_SECONDS = 2.0
TAKING_SECONDS = 30.0
"""How long an answer may wait for a client that reads nothing of it."""
# A whole request line without any of the methods that HTTP itself defines.
_UNKNOWN_METHOD = re.compile(
    rb"(?!(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH) )"
    rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+ (/[!-~]*) HTTP/1\.1\r\n"
)
_FORWARD_AUTH = FORWARD_AUTH.encode()
_CHECKED = re.compile(rb"(?:[A-Za-z]+://[^/]*)?" + _FORWARD_AUTH)
_WHY = "must be HTTP/1.1 with a known method"
_UPGRADING = frozenset({b"upgrade", b"connection", b"http2-settings"})


class UnacceptableHead(Exception):
    """The request line and headers are more than we read, or ask for a tunnel."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    url = b""
    _running: RequestResponseCycle
    _in_head = False
    _head_size = 0
    _withheld = 0
    _parsed = False
    _taking: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    _due: float | None = None
    """When the loop's clock ends the connection, unless a request's head is complete by then."""
    _head_without_upgrade = b""
    _refused: bytes | None = None
    """What is not HTTP, and waits until what came before it is answered."""
    _has_said_last = False
    _hung_up = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._due = None
        if self._watch is not None:
            self._watch.cancel()
        self._stop_waiting()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for the answer that a client still waits for."""
        self._has_said_last = True
        return self._is_answering() and not self.cycle.more_body

    def data_received(self, data: bytes) -> None:
        if self._hung_up:
            return
        self._unset_keepalive_if_required()
        rest: bytes | None = data
        while rest is not None:
            rest = self._feed(rest)

    def _feed(self, data: bytes) -> bytes | None:
        """Parse this; what is left to parse, where the parser stopped at an offer to upgrade."""
        try:
            self.parser.feed_data(data)
            self._bound(data)
        except httptools.HttpParserUpgrade as upgrade:
            # RFC 9110, section 7.8: a server may ignore the offer. The parser can't, and stops
            # before the body, so it is given the request again without the offer.
            self.parser = httptools.HttpRequestParser(self)
            return self._head_without_upgrade + data[upgrade.args[0] :]
        except UnacceptableHead:
            self._refuse(data)
            return None
        except httptools.HttpParserError:
            line = _UNKNOWN_METHOD.match(data)
            if line and not self._is_answering():
                self._give_as_trace(line[1], data[line.end() :])
            else:
                self._refuse(data)
            return None
        if not self._is_answering():
            # Stray bytes between requests, or of a body that nobody reads.
            self._await_head()
        return None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._taking is None:
            self._taking = self.loop.call_later(TAKING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_waiting()
        super().resume_writing()

    def on_message_begin(self) -> None:
        self._begin_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        # A trailer is no header (RFC 9110, section 6.5.1): a proxy has checked the headers alone.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._due = None
        self._head_without_upgrade = b""
        if self.parser.should_upgrade():
            self._head_without_upgrade = self._without_upgrade()
        else:
            super().on_headers_complete()
        self._in_head = False

    def _without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise UnacceptableHead
        kept = [(name, value) for name, value in self.headers if name not in _UPGRADING]
        if not self.parser.should_keep_alive():
            kept.append((b"connection", b"close"))
        lines = b"".join(b"%b: %b\r\n" % pair for pair in kept)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, lines)

    def on_body(self, body: bytes) -> None:
        self._parsed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._parsed = True
        if not self._head_without_upgrade:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline or self._is_answering() or self.transport.is_closing():
            return
        if self._refused is not None:
            self._refuse(self._refused)
        elif self._has_said_last:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, data: bytes) -> None:
        """Answer what is not HTTP, and close: what follows can't be told apart from it.

        A request that was complete before it is answered first.
        """
        if self._refused is None and not (self._in_head or self._is_answering()):
            # It is the rest of a request that has its answer.
            self._hang_up()
            return
        if self.pipeline and self.cycle.more_body:
            # The broken one has not been begun; those before it are answered first.
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._running
        if self._is_answering() and not self.cycle.more_body:
            self._refused = data
            self.flow.pause_reading()
            return
        request_id = secrets.token_hex(16)
        # Forward authentication knows no 400: its proxy would take that for a fault of its own.
        target = self.url or data.partition(b" ")[2]
        checked = _CHECKED.match(unquote_to_bytes(target[:MAX_HEAD]))
        error = InvalidCredentials() if checked else InvalidRequest("request", _WHY)
        refused = problem(error, request_id)
        headers = {
            **refused.headers,
            "content-length": str(len(refused.body)),
            "x-request-id": request_id,
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = "".join([*lines, "\r\n"])
        status = STATUS_LINE[refused.status]
        self.transport.write(status + head.encode("ascii") + refused.body)
        self._hang_up()

    def _hang_up(self) -> None:
        """Say the last word, and close when the client has heard it (RFC 9112, section 9.6).

        To close with bytes unread would reset the connection, and the answer might be lost.
        """
        self._hung_up = True
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write_eof()
        self._end_at(self.loop.time() + HANGING_UP_SECONDS)

    def _give_as_trace(self, target: bytes, rest: bytes) -> None:
        """Let the application answer a method that the parser doesn't know, and close.

        It is given TRACE, which only forward authentication takes: 405 with `Allow`, or 404. What
        follows the head is never read, because the parser can't say where this request ends; nor
        are the headers, but where any method is taken and they decide.
        """
        headers, complete, _ = rest.partition(b"\r\n\r\n")
        read = complete and target.startswith(_FORWARD_AUTH)
        head = b"TRACE %b HTTP/1.1\r\nConnection: close\r\n" % target
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + (headers + complete if read else b"\r\n"))

    def _begin_head(self) -> None:
        self._in_head = True
        self._head_size = 0
        self._parsed = True

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _bound(self, data: bytes) -> None:
        """Refuse what the parser only collects: it keeps a header until that is complete."""
        parsed, self._parsed = self._parsed, False
        self._withheld = 0 if parsed else self._withheld + len(data)
        if self._withheld > MAX_HEAD:
            raise UnacceptableHead

    def _count(self, size: int) -> None:
        self._parsed = True
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise UnacceptableHead

    def _await_head(self) -> None:
        # A time that is set stays: bytes that trickle in must not keep a connection alive.
        if self._due is None:
            self._end_at(self.loop.time() + HEAD_SECONDS)

    def _end_at(self, due: float) -> None:
        # One timer looks now and then, because to set one for each request costs more.
        self._due = due
        if self._watch is None:
            self._watch = self.loop.call_later(WATCH_SECONDS, self._look)

    def _look(self) -> None:
        self._watch = None
        if self._due is None:
            return
        if self.loop.time() >= self._due:
            self._end()
        else:
            self._watch = self.loop.call_at(self._due, self._look)

    def _end(self) -> None:
        # To close would wait for what is not taken.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
