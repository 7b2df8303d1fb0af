"""No secret in a log, an exception, a traceback with its variables, or a `repr`."""

import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from keyturn import client
from keyturn.client import Agent, ClientError, KeyturnAuth
from keyturn.client.credentials import (
    IdempotencyKey,
    Registration,
    Rotation,
    Stored,
    parse_credential,
)
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Answer
from keyturn.core.credential import Kind
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, credential, idempotency, problem, says, served
from tests.client.programs import Program, make_due
from tests.client.steps import file_of, stored_of

PROGRAMS = pytest.mark.parametrize(
    "program", [Program(False), Program(True)], ids=["sync", "async"]
)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, at the finest level."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def secrets_of(fake: FakeKeyturn, *more: str) -> list[str]:
    keys = [idempotency(request) for request in fake.asked if idempotency(request)]
    pairs = [world.bearer(request) for request in fake.asked if world.bearer(request)]
    bodies = [json.loads(request.content) for request in fake.asked if request.content]
    sent = [body["rotationSecret"] for body in bodies if "rotationSecret" in body]
    return [*keys, *pairs, *sent, fake.key, fake.secret, *more]


def shown(text: str, secrets: list[str]) -> list[str]:
    """The positions in `secrets` of those of which ten characters can be read: not the secrets."""
    bare = [secret.removeprefix("sk_live_")[3:-4] for secret in secrets]
    return [
        f"number {number}"
        for number, secret in enumerate(bare)
        if any(secret[place : place + 10] in text for place in range(len(secret) - 9))
    ]


def everything_about(error: BaseException) -> str:
    """The error, all that it came from, and the variables of every frame, but for the test's."""
    told, pending, seen = "", [error], set[int]()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        frames = traceback.TracebackException.from_exception(current, capture_locals=True)
        told += f"{current!r} {current} {vars(current)}"
        for frame in frames.stack:
            if "/tests/" not in frame.filename:
                told += f"{frame.filename} {frame.locals}"
        pending += [cause for cause in (current.__cause__, current.__context__) if cause]
    return told


def test_these_tests_can_tell_a_secret_that_is_shown() -> None:
    secret = credential(Kind.API_KEY)
    assert shown(f"Bearer {secret}", [secret]) == ["number 0"]
    assert shown(secret[30:45], ["x" * 30, secret]) == ["number 1"]
    assert shown(secret[:11] + "…" + secret[-4:], [secret]) == []


FAULTS: dict[str, world.Fault] = {
    "no connection": world.never_arrives,
    "a lost answer": world.answer_is_lost,
    "a cut answer": world.answer_is_cut,
    "401": says(problem(401, "invalid_credentials")),
    "403": says(problem(403, "agent_revoked")),
    "422": says(problem(422, "idempotency_key_reused")),
    "429": says(problem(429, "too_many_rotation_attempts", Retry_After="800")),
    "500": says(problem(500, "internal")),
    "a web page": says(Answer(200, httpx.Headers({"content-type": "text/html"}), b"<p>")),
    "a pair of another agent": lambda fake, request: world.success(
        200, json.loads(fake.decide(request).body) | {"agentId": "another"}
    ),
    "a broken pair": lambda fake, request: world.success(
        200, json.loads(fake.decide(request).body) | {"rotationSecret": None}
    ),
    "an error that repeats the credentials": lambda _, request: world.problem(
        400, "invalid_request", detail=f"no {world.bearer(request)}"
    ),
}


@PROGRAMS
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("action", ["rotate", "status", "revoke"])
def test_a_failure_shows_none(
    program: Program,
    tmp_path: Path,
    log: pytest.LogCaptureFixture,
    fault: str,
    action: str,
) -> None:
    fake = FakeKeyturn(faults=[FAULTS[fault]] * 9)
    told = ""
    with served(fake) as url:
        file = file_of(tmp_path, stored_of(fake, url))
        try:
            status = program.agent(file.path, action, patience=0)
            told += f"{status!r} {status.problem and everything_about(status.problem)}"
        except ClientError as error:
            told += everything_about(error)
    assert told
    assert shown(told + log.text, secrets_of(fake)) == []


@PROGRAMS
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_a_disk_that_fails_after_the_answer_shows_none(
    program: Program,
    tmp_path: Path,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    monkeypatch.setattr("keyturn.client.rotation.SAVING_PAUSES", ())
    real = getattr(os, call)

    def full(*arguments: object, **options: object) -> object:
        if fake.rotations() and (call != "open" or str(arguments[0]).endswith(".tmp")):
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    fake = FakeKeyturn()
    with served(fake) as url, monkeypatch.context() as faults:
        file = file_of(tmp_path, stored_of(fake, url))
        faults.setattr(os, call, full)
        with pytest.raises(client.CredentialsFileError, match="No space") as raised:
            program.agent(file.path, "rotate")
    assert shown(everything_about(raised.value) + log.text, secrets_of(fake)) == []


@PROGRAMS
def test_success_shows_none(
    program: Program, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    fake = FakeKeyturn()
    token = credential(Kind.ENROLMENT_TOKEN)
    path = tmp_path / "agent.json"
    with served(fake) as url:
        results = [
            program.agent(path, "register", url, enrolment_token=token),
            program.agent(path, "rotate"),
            program.agent(path, "status"),
        ]
        make_due(path)
        auth = KeyturnAuth(path)
        program.request(auth, "GET", url)
        results.append(program.agent(path, "revoke"))
    assert fake.generation == 3
    told = f"{results!r} {vars(auth)!r} {auth!r}"
    assert shown(told + log.text, secrets_of(fake, token)) == []


@PROGRAMS
@pytest.mark.parametrize("damage", ["well-formed", "mistyped"])
def test_a_refused_enrolment_token_is_not_shown(
    program: Program, tmp_path: Path, log: pytest.LogCaptureFixture, damage: str
) -> None:
    fake = FakeKeyturn(faults=[says(problem(401, "invalid_enrolment_token"))])
    tokens = [credential(Kind.ENROLMENT_TOKEN)]
    if damage == "mistyped":
        tokens = [tokens[0][:-1] + "-"]
    with served(fake) as url, pytest.raises(ClientError) as raised:
        program.agent(tmp_path / "agent.json", "register", url, enrolment_token=tokens[0])
    assert shown(everything_about(raised.value) + log.text, secrets_of(fake, *tokens)) == []


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda text: text[:-20],
    "without an agent": lambda text: text.replace(b"agentId", b"agentID"),
    "altered": lambda text: text.replace(b"_rs_", b"_rs_0"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_not_shown(
    tmp_path: Path, log: pytest.LogCaptureFixture, damage: str
) -> None:
    fake = FakeKeyturn()
    file = file_of(tmp_path, stored_of(fake))
    file.path.write_bytes(DAMAGE[damage](file.path.read_bytes()))
    with pytest.raises(ClientError) as raised:
        Agent(file.path).rotate()
    assert shown(everything_about(raised.value) + log.text, secrets_of(fake)) == []


def test_what_is_stored_does_not_show_itself(tmp_path: Path) -> None:
    fake = FakeKeyturn()
    key = IdempotencyKey.new()
    token = parse_credential(credential(Kind.ENROLMENT_TOKEN), Kind.ENROLMENT_TOKEN)
    assert token is not None
    holder = stored_of(fake).holder
    told = repr(
        [
            Stored("https://x.example", holder, Rotation(key)),
            Stored("https://x.example", None, Registration(key, None, token)),
            CredentialsFile(tmp_path),
        ]
    )
    secrets = secrets_of(fake, key.reveal(), token.reveal())
    assert shown(told, secrets) == [] and "sk_live_ak_…" in told


@PROGRAMS
@pytest.mark.parametrize("fault", ["no answer", "no connection"])
def test_a_request_of_yours_that_fails_shows_none(
    program: Program, tmp_path: Path, log: pytest.LogCaptureFixture, fault: str
) -> None:
    fake = FakeKeyturn(faults=[world.answer_is_lost])
    with served(fake) as url:
        path = file_of(tmp_path, stored_of(fake, url)).path
        target = url if fault == "no answer" else "http://127.0.0.1:1"
        with pytest.raises(httpx.TransportError) as raised:
            program.request(KeyturnAuth(path), "POST", target, json={})
    assert shown(everything_about(raised.value) + log.text, secrets_of(fake)) == []
