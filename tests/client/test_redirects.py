"""The key goes to the server it is for, wherever that server points."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keyturn.client import Agent, KeyturnAuth, NotKeyturn
from keyturn.client.effects import Answer
from tests.client.fake import FakeKeyturn, problem, says, served
from tests.client.programs import Program
from tests.client.steps import file_of, stored_of

PROGRAMS = pytest.mark.parametrize(
    "program", [Program(False), Program(True)], ids=["sync", "async"]
)


@pytest.fixture
def thief() -> FakeKeyturn:
    """Whoever it is that we are redirected to; answers 401 to be sent credentials again."""
    return FakeKeyturn(faults=[says(problem(401, "invalid_credentials"))] * 9)


@pytest.fixture
def thiefs_url(thief: FakeKeyturn) -> Iterator[str]:
    with served(thief) as url:
        yield url


def redirect(status: int, to: str) -> Answer:
    return Answer(status, httpx.Headers({"location": to}), b"")


def was_given(thief: FakeKeyturn, *secrets: str) -> bool:
    sent = [f"{request.url} {request.headers.raw} {request.content!r}" for request in thief.asked]
    return any(secret in text for secret in secrets for text in sent)


@PROGRAMS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_never_takes_the_key_along(
    program: Program, tmp_path: Path, thief: FakeKeyturn, thiefs_url: str, status: int
) -> None:
    victim = FakeKeyturn(faults=[says(redirect(status, f"{thiefs_url}/collect"))] * 2)
    with served(victim) as url:
        path = file_of(tmp_path, stored_of(victim, url)).path
        answer = program.request(KeyturnAuth(path), "POST", f"{url}/work", follow=True, json={})
    assert answer.status_code == 401
    assert thief.asked and not was_given(thief, victim.key, victim.secret)


@PROGRAMS
def test_nor_when_the_key_is_renewed_because_of_it(
    program: Program, tmp_path: Path, thief: FakeKeyturn, thiefs_url: str
) -> None:
    victim = FakeKeyturn()
    with served(victim) as url:
        path = file_of(tmp_path, stored_of(victim, url)).path

        def rotated_meanwhile(*_: object) -> Answer:
            Agent(path).rotate()
            return problem(401, "invalid_credentials")

        thief.faults = [rotated_meanwhile, *thief.faults]
        api = FakeKeyturn(faults=[says(redirect(307, f"{thiefs_url}/collect"))] * 2)
        with served(api) as api_url:
            program.request(KeyturnAuth(path), "GET", api_url, follow=True)
    assert len(thief.asked) == 2 and len(api.asked) == 2
    assert not was_given(thief, victim.key, victim.secret)


@PROGRAMS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_rotation_follows_no_redirect(
    program: Program, tmp_path: Path, thief: FakeKeyturn, thiefs_url: str, status: int
) -> None:
    victim = FakeKeyturn(faults=[says(redirect(status, f"{thiefs_url}/collect"))])
    with served(victim) as url:
        path = file_of(tmp_path, stored_of(victim, url)).path
        with pytest.raises(NotKeyturn, match="redirects elsewhere"):
            program.agent(path, "rotate")
    assert thief.asked == []


def test_this_test_can_tell_a_key_that_was_given_away(thief: FakeKeyturn, thiefs_url: str) -> None:
    httpx.get(thiefs_url, headers={"Authorization": "Bearer secret"})
    assert was_given(thief, "secret")
