"""A connection that never stops asking leaves the others their turn."""

import contextlib
import threading

from .client import HTTP, Service
from .raw import connected

FLOOD = b"GET /v1/forward-auth HTTP/1.1\r\nHost: x\r\n\r\n" * 200


def test_another_caller_is_answered_while_one_pipelines_without_end(service: Service) -> None:
    with connected(service) as flooding:

        def ask() -> None:
            with contextlib.suppress(OSError):
                while True:
                    flooding.socket.sendall(FLOOD)

        def take() -> None:
            with contextlib.suppress(OSError, ValueError):
                while flooding.socket.recv(65536):
                    pass

        threads = [threading.Thread(target=work, daemon=True) for work in (ask, take)]
        for thread in threads:
            thread.start()
        answers = [HTTP.get(f"{service.url}/healthz", timeout=30).status_code for _ in range(3)]
        flooding.socket.shutdown(2)
        for thread in threads:
            thread.join(30)
    assert answers == [200, 200, 200]
