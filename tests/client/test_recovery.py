"""Lost answers and crashes against a real server: nobody is locked out."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from keyturn.client import Agent, ClientError, KeyturnAuth, TryAgain, effects
from keyturn.client.effects import Answer, Lost
from keyturn.testing import Server, Unreliable, running_server
from tests.client.programs import Program, change, content_of, make_due, whoami

Exchange = Callable[[httpx.Client, httpx.Request], Answer | Lost]


class Killed(BaseException):
    pass


class Line:
    """Between the client and the server: what is lost, and what came through."""

    def __init__(self, real: Exchange) -> None:
        self.real = real
        self.lose = 0
        self.kill = False
        self.sent: list[httpx.Request] = []
        self.answers: list[Answer] = []

    def exchange(self, http: httpx.Client, request: httpx.Request) -> Answer | Lost:
        self.sent.append(request)
        answer = self.real(http, request)
        if self.kill:
            self.kill = False
            raise Killed
        if self.lose or isinstance(answer, Lost):
            self.lose -= 1
            return Lost("ReadTimeout")
        self.answers.append(answer)
        return answer


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(effects._exchange)
    monkeypatch.setattr(effects, "_exchange", line.exchange)
    return line


@pytest.fixture
def path(tmp_path: Path, server: Server, line: Line) -> Path:
    path = tmp_path / "agent.json"
    Agent(path).register(server.url)
    line.sent.clear()
    line.answers.clear()
    return path


def generation(server: Server, path: Path) -> int:
    key = content_of(path)["current"]["apiKey"]
    answer = httpx.get(whoami(server), headers={"Authorization": f"Bearer {key}"})
    answer.raise_for_status()
    return int(answer.json()["generation"])


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_lost_answer_is_asked_for_again(
    server: Server, path: Path, line: Line, times: int
) -> None:
    line.lose = times
    Agent(path).rotate()
    assert generation(server, path) == 2
    assert line.answers[0].headers["idempotency-replayed"] == "true"
    assert len(line.answers) == 2


def test_a_killed_process_leaves_it_to_the_next(server: Server, path: Path, line: Line) -> None:
    line.kill = True
    with pytest.raises(Killed):
        Agent(path).rotate()
    Agent(path).rotate()
    assert generation(server, path) == 2


def test_the_next_request_finishes_it_too(server: Server, path: Path, line: Line) -> None:
    line.kill = True
    with pytest.raises(Killed):
        Agent(path).rotate()
    with httpx.Client(auth=KeyturnAuth(path)) as api:
        assert api.get(whoami(server)).json()["generation"] == 2
    assert content_of(path)["pending"] is None


def test_a_disk_that_is_full_when_the_answer_comes(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    real = os.write

    def full(opened: int, text: bytes) -> int:
        if line.answers:
            raise OSError(28, "No space left on device")
        return real(opened, text)

    with monkeypatch.context() as faults:
        faults.setattr(os, "write", full)
        with pytest.raises(ClientError, match="No space left"):
            Agent(path).rotate()
    Agent(path).rotate()
    assert generation(server, path) == 2


def test_an_idempotency_key_of_an_earlier_rotation_starts_a_new_one(
    server: Server, path: Path, line: Line
) -> None:
    Agent(path).rotate()
    used = line.sent[0].headers["idempotency-key"].strip('"')
    pending = {"kind": "rotation", "idempotencyKey": used}
    change(path, lambda members: members.update(pending=pending))
    line.answers.clear()
    Agent(path).rotate()
    assert [answer.status for answer in line.answers] == [422, 200, 200]
    assert generation(server, path) == 3


def test_a_registration_whose_answer_is_lost_makes_one_agent(
    server: Server, tmp_path: Path, line: Line
) -> None:
    path = tmp_path / "new.json"
    line.lose = 1
    with pytest.raises(TryAgain):
        Agent(path, patience=0).register(server.url)
    Agent(path).register(server.url)
    assert line.answers[0].headers["idempotency-replayed"] == "true"
    assert generation(server, path) == 1


@pytest.mark.parametrize("program", [Program(False), Program(True)], ids=["sync", "async"])
def test_half_of_all_answers_may_be_lost(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    faults = Unreliable(lose=30, cut=15, duplicate=10)
    with running_server(unreliable=faults, rotation_limit=10_000) as server:
        program.agent(path, "register", server.url)
        for _ in range(8):
            program.agent(path, "rotate")
        assert generation(server, path) == 9
        make_due(path)
        # A request waits for a rotation less long than `rotate`, and then goes on without it.
        while generation(server, path) == 9:
            assert program.request(KeyturnAuth(path), "GET", whoami(server)).status_code == 200
        assert generation(server, path) == 10
