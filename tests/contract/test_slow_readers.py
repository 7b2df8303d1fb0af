"""A client that does not read its answer is hung up on, and holds nothing for ever."""

import socket
import threading
from typing import Any

import pytest
import uvicorn

from keyturn import http_protocol

LARGE = b"x" * 8_000_000


def test_a_client_that_takes_nothing_of_its_answer_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_protocol, "TAKING_SECONDS", 0.1)
    hung_up = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        hung_up.set()

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=http_protocol.HttpProtocol, lifespan="off", log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: keyturn\r\n\r\n")
            assert hung_up.wait(30)
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()
