"""`KeyturnAuth` against a real server, in programs that block and in programs that do not."""

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from keyturn.client import Agent, KeyturnAuth, NoCredentialsFile, TryAgain
from keyturn.client.auth import View
from keyturn.client.credentials import Stored, decode, encode
from keyturn.client.effects import Answer
from keyturn.testing import Server
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, problem, says, served
from tests.client.programs import (
    Program,
    change,
    content_of,
    make_due,
    rotate_elsewhere,
    whoami,
)
from tests.client.steps import file_of, stored_of

PROGRAMS = pytest.mark.parametrize(
    "program", [Program(False), Program(True)], ids=["sync", "async"]
)


@pytest.fixture
def path(tmp_path: Path, server: Server) -> Path:
    path = tmp_path / "agent.json"
    Agent(path).register(server.url)
    return path


@PROGRAMS
def test_it_sends_the_key(program: Program, server: Server, path: Path) -> None:
    answer = program.request(KeyturnAuth(path), "GET", whoami(server))
    assert answer.status_code == 200 and answer.json()["generation"] == 1


@PROGRAMS
def test_it_rotates_when_that_is_due_and_once(program: Program, server: Server, path: Path) -> None:
    make_due(path)
    auth = KeyturnAuth(path)
    answers = [program.request(auth, "GET", whoami(server)) for _ in range(3)]
    assert [answer.json()["generation"] for answer in answers] == [2, 2, 2]


@PROGRAMS
def test_it_does_not_rotate_before_the_last_tenth(
    program: Program, server: Server, path: Path
) -> None:
    auth = KeyturnAuth(path)
    answers = [program.request(auth, "GET", whoami(server)) for _ in range(3)]
    assert [answer.json()["generation"] for answer in answers] == [1, 1, 1]


def test_the_moment_to_rotate_is_drawn_once_from_the_last_tenth() -> None:
    stored = stored_of(FakeKeyturn())
    assert stored.holder is not None
    created_at, due_at = stored.holder.created_at, stored.holder.due_at
    drawn = [View.of(None, stored, None).rotate_at for _ in range(200)]
    parts = [(moment - created_at) / (due_at - created_at) for moment in drawn]
    assert 0.9 <= min(parts) < 0.92 and 0.98 < max(parts) <= 1

    first = View.of(None, stored, None)
    again = decode(encode(stored))
    assert isinstance(again, Stored)
    assert View.of(None, again, first).rotate_at == first.rotate_at
    longer = replace(stored, holder=replace(stored.holder, due_at=due_at + timedelta(days=23)))
    assert View.of(None, longer, first).rotate_at > due_at


@PROGRAMS
def test_it_notices_that_another_process_has_rotated(
    program: Program, server: Server, path: Path
) -> None:
    auth = KeyturnAuth(path)
    program.request(auth, "GET", whoami(server))
    Agent(path).rotate()
    answer = program.request(auth, "GET", whoami(server))
    assert answer.status_code == 200 and answer.history == []


@PROGRAMS
def test_a_401_because_another_has_rotated_meanwhile_does_not_reach_the_caller(
    program: Program, path: Path
) -> None:
    fake = FakeKeyturn()

    def rotated_meanwhile(*_: object) -> Answer:
        Agent(path).rotate()
        return problem(401, "invalid_credentials")

    fake.faults = [rotated_meanwhile, says(world.success(200, {"body": "seen"}))]
    with served(fake) as url:
        answer = program.request(KeyturnAuth(path), "POST", url, json={"work": 1})
    assert answer.status_code == 200
    first, second = fake.asked
    assert first.content == second.content != b""
    assert world.bearer(first) != world.bearer(second)
    assert world.bearer(second) == content_of(path)["current"]["apiKey"]


@PROGRAMS
def test_a_401_while_another_is_rotating_is_waited_out(program: Program, tmp_path: Path) -> None:
    begun = threading.Event()

    def slowly(fake: FakeKeyturn, request: httpx.Request) -> Answer:
        made = fake.decide(request)
        begun.set()
        time.sleep(0.3)
        return made

    keyturn, api = FakeKeyturn(faults=[slowly]), FakeKeyturn()
    with served(keyturn) as url, served(api) as api_url:
        path = file_of(tmp_path, stored_of(keyturn, url)).path
        other = threading.Thread(target=Agent(path).rotate)

        def meanwhile(*_: object) -> Answer:
            other.start()
            begun.wait()
            return problem(401, "invalid_credentials")

        api.faults = [meanwhile, says(world.success(200, {"body": "seen"}))]
        answer = program.request(KeyturnAuth(path), "GET", api_url)
        other.join()
    assert answer.status_code == 200
    assert world.bearer(api.asked[1]) == keyturn.key


@PROGRAMS
def test_a_body_that_is_a_stream_is_not_sent_twice(program: Program, path: Path) -> None:
    fake = FakeKeyturn()

    def rotated_meanwhile(*_: object) -> Answer:
        Agent(path).rotate()
        return problem(401, "invalid_credentials")

    fake.faults = [rotated_meanwhile]
    with served(fake) as url:
        answer = program.request(
            KeyturnAuth(path),
            "POST",
            url,
            content=program.stream(b"once"),
            headers={"Content-Length": "4"},
        )
    assert answer.status_code == 401 and len(fake.asked) == 1


@PROGRAMS
def test_a_401_for_another_reason_is_passed_on(program: Program, path: Path) -> None:
    fake = FakeKeyturn(faults=[says(problem(401, "not_for_you"))])
    with served(fake) as url:
        answer = program.request(KeyturnAuth(path), "GET", url)
    assert answer.status_code == 401 and len(fake.asked) == 1


@PROGRAMS
def test_the_first_request_finishes_a_rotation_that_was_interrupted(
    program: Program, tmp_path: Path
) -> None:
    fake = FakeKeyturn(faults=[world.answer_is_lost])
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        with pytest.raises(TryAgain):
            Agent(path, patience=0).rotate()
        answer = program.request(KeyturnAuth(path), "GET", whoami(url))
    assert answer.status_code == 200 and fake.generation == 2
    assert answer.history == [], "before the old key was used"


CANT_ROTATE = {
    "the server is away": world.never_arrives,
    "too many attempts": says(problem(429, "too_many_rotation_attempts", Retry_After="600")),
    "quarantine": says(problem(403, "agent_quarantined")),
    "no rotation secret": says(problem(403, "no_rotation_secret")),
    "a login page": says(Answer(200, httpx.Headers({"content-type": "text/html"}), b"<p>")),
}


@PROGRAMS
@pytest.mark.parametrize("reason", CANT_ROTATE)
def test_a_request_goes_on_with_the_old_key_when_it_cannot_be_rotated(
    program: Program,
    path: Path,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    monkeypatch.setattr("keyturn.client.auth.PATIENCE", 0.1)
    fake = FakeKeyturn(faults=[CANT_ROTATE[reason]] * 9)
    with served(fake) as url, caplog.at_level(logging.WARNING, "keyturn"):
        make_due(path)
        change(path, lambda members: members.update(url=url))
        auth = KeyturnAuth(path)
        answers = [program.request(auth, "GET", whoami(server)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(caplog.records) == 1, "once, and not at every request"
    assert "could not be rotated" in caplog.text
    assert len(fake.rotations()) <= 3


@PROGRAMS
def test_a_file_that_goes_bad_does_not_stop_a_program_that_runs(
    program: Program, path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    auth = KeyturnAuth(path)
    program.request(auth, "GET", whoami(server))
    path.chmod(0o644)
    answers = [program.request(auth, "GET", whoami(server)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(caplog.records) == 1 and "open to other users" in caplog.text


@PROGRAMS
def test_without_a_file_the_first_request_says_so(program: Program, tmp_path: Path) -> None:
    with pytest.raises(NoCredentialsFile):
        program.request(KeyturnAuth(tmp_path / "none.json"), "GET", "http://127.0.0.1:1")


@PROGRAMS
def test_refused_credentials_are_not_tried_again_at_every_request(
    program: Program, tmp_path: Path
) -> None:
    fake = FakeKeyturn()
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        make_due(path)
        rotate_elsewhere(url, path)
        auth = KeyturnAuth(path)
        answers = [program.request(auth, "GET", whoami(url)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert len(fake.rotations()) == 2


@PROGRAMS
@pytest.mark.parametrize("days", [-100, 100], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_does_not_change_how_often_it_rotates(
    program: Program, tmp_path: Path, days: int
) -> None:
    fake = FakeKeyturn(now=lambda: datetime.now(UTC) + timedelta(days=days))
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        make_due(path)
        auth = KeyturnAuth(path)
        for _ in range(3):
            program.request(auth, "GET", whoami(url))
        assert fake.generation == 2
        due_at = datetime.fromisoformat(content_of(path)["current"]["dueAt"])
    assert timedelta(days=6.9) < due_at - datetime.now(UTC) < timedelta(days=7.1)


@PROGRAMS
def test_a_401_while_a_rotation_is_unfinished_finishes_it_however_long_the_back_off_is(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.client.auth.PATIENCE", 0.0)
    monkeypatch.setattr("keyturn.client.auth.REPEAT_PAUSE", 0.0)
    fake = FakeKeyturn(faults=[world.answer_is_lost])
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        make_due(path)
        auth = KeyturnAuth(path)
        answers = [program.request(auth, "GET", whoami(url)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert fake.generation == 2


def test_no_server_can_put_off_a_rotation_for_days(tmp_path: Path) -> None:
    too_many = problem(429, "too_many_rotation_attempts", Retry_After="999999")
    fake = FakeKeyturn(faults=[says(too_many)])
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        make_due(path)
        auth = KeyturnAuth(path)
        Program(False).request(auth, "GET", whoami(url))
    assert auth._not_before - time.monotonic() < 2 * 900
