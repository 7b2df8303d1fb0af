"""Section 8: SIGTERM finishes what is in flight, with one worker and with four."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from keyturn.testing import Server, running_server

from .client import eventually
from .conftest import PROXIES, service_of
from .raw import connected, head


def _accepts(server: Server) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return True
    except OSError:
        return False


def _serves(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/healthz", timeout=0.5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_in_flight_is_finished(workers: int) -> None:
    with running_server(workers=workers, trusted_proxies=PROXIES) as server:
        service = service_of(server)
        agent = service.register()
        body = json.dumps({"rotationSecret": agent.secret}).encode()
        bearer = f"Authorization: Bearer {agent.key}"
        lines = head("POST", "/v1/agents/self/rotate-key", bearer, f"Content-Length: {len(body)}")
        with connected(service) as connection, ThreadPoolExecutor(1) as pool:
            connection.send(lines, body[:10])
            # Another request is answered: whoever has the first one has read its head by now.
            assert service.get("/readyz").status_code == 200
            exit_code = pool.submit(server.stop)
            eventually(lambda: not _serves(server))
            refused_meanwhile = not _accepts(server)
            connection.send(body[10:])
            answer = connection.answer()
            assert exit_code.result() == 0
        assert answer is not None and answer.status == 200
        server.start()
        assert service.whoami(answer.json()["apiKey"]).json()["generation"] == 2
        assert refused_meanwhile


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connections_do_not_delay_it_and_nothing_is_left(workers: int) -> None:
    with running_server(workers=workers) as server:
        service = service_of(server, proxied=False)
        with connected(service), connected(service) as used:
            used.send(head("GET", "/healthz"))
            assert used.answer()
            group = os.getpgid(server.pid)
            assert server.stop() == 0
        assert not _accepts(server)
        eventually(lambda: not _alive(group))


@pytest.mark.usefixtures("not_forked")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_still_starting_stops_as_asked(workers: int, tmp_path: Path) -> None:
    server = Server(tmp_path / "data", workers=workers)
    server.start(wait=False)
    group = os.getpgid(server.pid)
    eventually((server.data_dir / "server-key").exists)
    assert server.stop() == 0
    assert "Traceback" not in server.log_path.read_text()
    eventually(lambda: not _alive(group))
    server.start()
    assert server.stop() == 0


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
