"""The proxy breaks an exchange exactly where it is told to."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Literal

import pytest

from keyturn.testing import running_server

from . import proxy as proxy_module
from .connection import BROKEN, SELF, Connection
from .ledger import UNLIMITED, new_agent
from .load import comes_true
from .proxy import LOOPBACK, Direction, Fault, Proxy

REQUEST = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d"


class Counting(socketserver.ThreadingTCPServer):
    """Answers each request with how many it has had whole, and keeps what came."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.whole = 0
        self.seen: list[bytes] = []
        self.port = int(self.server_address[1])


class _Handler(socketserver.BaseRequestHandler):
    server: Counting

    def handle(self) -> None:
        seen = b""
        with contextlib.suppress(ConnectionError):
            while more := self.request.recv(4096):
                seen += more
                if seen == REQUEST:
                    self.server.whole += 1
                    self.request.sendall(ANSWER % self.server.whole)
        self.server.seen.append(seen)


@contextlib.contextmanager
def counting() -> Iterator[Counting]:
    """The server; when the block ends it has seen everything to its end."""
    with Counting() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(port: int) -> tuple[bytes, bool]:
    """All that comes in answer to one request, and whether the connection was reset."""
    received = b""
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(REQUEST)
        # A reset may be here already; what came before it can still be read.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        try:
            while more := connection.recv(4096):
                received += more
        except OSError:
            return received, True
    return received, False


def test_what_no_fault_befalls_passes_unchanged_and_is_counted() -> None:
    with counting() as server, Proxy(server.port) as proxy:
        assert ask(proxy.port) == (ANSWER % 1, False)
    assert server.seen == [REQUEST]
    [exchange] = proxy.exchanges
    assert exchange.fault is None
    assert exchange.request_bytes == len(exchange.request) == len(REQUEST)
    assert exchange.answer_bytes == len(exchange.answer) == len(ANSWER % 1)
    assert (exchange.requests_delivered, exchange.answers_delivered) == (1, 1)


@pytest.mark.parametrize("kind", ["lose", "truncate"])
def test_a_request_is_cut_at_every_byte(kind: Literal["lose", "truncate"]) -> None:
    cuts = range(len(REQUEST) + 1)
    with counting() as server, Proxy(server.port) as proxy:
        proxy.plan(*(Fault(kind, "request", at_byte) for at_byte in cuts))
        assert [ask(proxy.port) for _ in cuts] == [(b"", kind == "lose")] * len(cuts)
        # The client is let go before the server has even seen that it came.
        assert comes_true(lambda: len(server.seen) == len(cuts))
    assert sorted(server.seen) == [REQUEST[:at_byte] for at_byte in cuts]
    assert [exchange.request_bytes for exchange in proxy.exchanges] == list(cuts)
    delivered = [exchange.requests_delivered for exchange in proxy.exchanges]
    assert delivered == [at_byte == len(REQUEST) for at_byte in cuts]
    assert {exchange.answer_bytes for exchange in proxy.exchanges} == {0}


@pytest.mark.parametrize("kind", ["lose", "truncate"])
def test_an_answer_is_cut_at_every_byte(kind: Literal["lose", "truncate"]) -> None:
    for at_byte in range(len(ANSWER % 1) + 1):
        with counting() as server, Proxy(server.port) as proxy:
            proxy.plan(Fault(kind, "answer", at_byte))
            assert ask(proxy.port) == ((ANSWER % 1)[:at_byte], kind == "lose")
        assert server.seen == [REQUEST]
        [exchange] = proxy.exchanges
        assert (exchange.requests_delivered, exchange.answer_bytes) == (1, at_byte)
        assert exchange.answers_delivered == (at_byte == len(exchange.answer))


@pytest.mark.parametrize(
    ("direction", "length"), [("request", len(REQUEST)), ("answer", len(ANSWER % 1))]
)
def test_a_message_pauses_at_every_byte_and_arrives(
    direction: Direction, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(proxy_module, "sleep", pauses.append)
    with counting() as server, Proxy(server.port) as proxy:
        for at_byte in range(length + 1):
            server.whole = 0
            proxy.plan(Fault("delay", direction, at_byte, milliseconds=70))
            assert ask(proxy.port) == (ANSWER % 1, False)
    assert pauses == [0.07] * (length + 1)


@pytest.mark.parametrize(("returned", "number"), [("first", 1), ("second", 2)])
def test_a_request_arrives_twice(returned: Literal["first", "second"], number: int) -> None:
    for at_byte in range(len(REQUEST) + 1):
        with counting() as server, Proxy(server.port) as proxy:
            proxy.plan(Fault("duplicate", at_byte=at_byte, returned=returned))
            answer, reset = ask(proxy.port)
        # Only a whole second copy can overtake the first.
        either = {ANSWER % 1, ANSWER % 2} if at_byte == len(REQUEST) else {ANSWER % number}
        assert answer in either and not reset
        assert server.seen == [REQUEST, REQUEST]
        [exchange] = proxy.exchanges
        assert (exchange.requests_delivered, exchange.answers_delivered) == (2, 1)


def test_faults_befall_in_their_order_the_requests_that_they_are_for() -> None:
    with counting() as server, Proxy(server.port) as proxy:
        proxy.plan(Fault("lose"), Fault("lose", only=b"GET /b"), Fault("lose"))
        assert [ask(proxy.port)[1] for _ in range(3)] == [True, False, False]
    assert [exchange.fault for exchange in proxy.exchanges] == [Fault("lose"), None, None]


def test_a_server_that_is_gone_resets_the_client() -> None:
    with counting() as server:
        port = server.port
    with Proxy(port) as proxy:
        assert ask(proxy.port) == (b"", True)


def test_a_rotation_whose_answer_is_lost_has_happened() -> None:
    with running_server(**UNLIMITED) as server, Proxy(server.port) as proxy:
        with Connection(proxy.port) as connection:
            agent = new_agent(connection)
            assert agent.rotate(connection) == 200
            proxy.plan(Fault("lose", only=b"POST /v1/agents/self/rotate-key "))
            assert connection.call("GET", SELF, token=agent.keys[-1]).status == 200
            with pytest.raises(BROKEN):
                agent.rotate(connection)
        with Connection(proxy.port) as connection:
            assert connection.call("GET", SELF, token=agent.keys[-1]).status == 401
    assert [exchange.answers_delivered for exchange in proxy.exchanges] == [1, 1, 1, 0, 1]


def test_a_rotation_that_arrives_twice_happens_once() -> None:
    with (
        running_server(**UNLIMITED) as server,
        Proxy(server.port) as proxy,
        Connection(proxy.port) as connection,
    ):
        agent = new_agent(connection)
        proxy.plan(Fault("duplicate", returned="first"))
        assert agent.rotate(connection) == 200
        proxy.plan(Fault("duplicate", returned="second"))
        assert agent.rotate(connection) == 401
