"""Section 8 for checks: what is asked while the service stops is answered, or was never done."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keyturn.testing import running_server

from .checks import FORWARD, VERIFY
from .client import Agent, Service, eventually
from .conftest import PROXIES, service_of
from .raw import connected, head, request

WORKERS = pytest.mark.parametrize("workers", [1, 2])


def _paying(agent: Agent, token: str, cost: int = 1) -> tuple[str, bytes]:
    body = f'{{"key": "{agent.key}", "cost": {cost}}}'.encode()
    return f"Authorization: Bearer {token}", body


@WORKERS
def test_a_check_in_flight_is_finished(workers: int) -> None:
    with running_server(workers=workers, trusted_proxies=PROXIES) as server:
        service = service_of(server)
        token = service.create_token("service", service.operator)["token"]
        agent = service.register()
        bearer, body = _paying(agent, token, 30)
        lines = head("POST", VERIFY, bearer, f"Content-Length: {len(body)}")
        with connected(service) as connection, ThreadPoolExecutor(1) as pool:
            connection.send(lines, body[:10])
            assert service.get("/readyz").status_code == 200
            exit_code = pool.submit(server.stop)
            eventually(lambda: not _serves(service))
            connection.send(body[10:])
            answer = connection.answer()
            assert exit_code.result() == 0
        assert answer is not None and answer.json()["creditBalance"] == 70
        server.start()
        assert service.balance(agent) == 70


@WORKERS
def test_of_pipelined_checks_each_that_was_paid_is_answered(workers: int) -> None:
    with running_server(workers=workers, trusted_proxies=PROXIES) as server:
        service = service_of(server)
        token = service.create_token("service", service.operator)["token"]
        agent = service.register()
        bearer, body = _paying(agent, token)
        with connected(service) as connection, ThreadPoolExecutor(1) as pool:
            connection.send(request("POST", VERIFY, bearer, body=body) * 60)
            first = connection.answer()
            exit_code = pool.submit(server.stop)
            rest = [connection.answer() for _ in range(59)]
            assert exit_code.result() == 0
        answered = [answer for answer in (first, *rest) if answer is not None]
        assert {answer.status for answer in answered} == {200}
        server.start()
        assert service.balance(agent) == 100 - len(answered)


@WORKERS
def test_no_answer_is_cut_or_wrong_while_many_ask(workers: int) -> None:
    with running_server(workers=workers, trusted_proxies=PROXIES) as server:
        service = service_of(server)
        token = service.create_token("service", service.operator)["token"]
        agent = service.register()
        service.change_credits(agent, 1_000_000)
        running, paid, unanswered = threading.Event(), [], []

        def ask(number: int) -> set[int]:
            """Checks over one connection until it ends; every fourth client pays."""
            statuses: set[int] = set()
            with httpx.Client(base_url=service.url, trust_env=False) as client:
                while True:
                    headers = {"Authorization": f"Bearer {token if number % 4 == 0 else agent.key}"}
                    try:
                        if number % 4 == 0:
                            body = {"key": agent.key, "cost": 1}
                            answer = client.post(VERIFY, headers=headers, json=body)
                            paid.append(answer.status_code)
                        else:
                            answer = client.get(FORWARD, headers=headers)
                    except httpx.TransportError:
                        unanswered.append(number)
                        return statuses
                    statuses.add(answer.status_code)
                    running.set()

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask, number) for number in range(8)]
            assert running.wait(30)
            assert server.stop() == 0
            seen = set().union(*(asked.result() for asked in asking))
        assert seen == {200}
        assert len(unanswered) == 8
        server.start()
        assert service.balance(agent) == 1_000_100 - len(paid)


def _serves(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/healthz", timeout=0.5).status_code == 200
    except httpx.TransportError:
        return False
