"""Section 4: nobody but who made the request has its answer, and nobody learns that there is one.

Every refusal is held against that of a pair that nobody ever had.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from .client import Agent, Developer, Service, after_rotation, forged
from .test_recovery import new_key, rotate, same, use

Shape = tuple[int, dict[str, object], list[bytes], str]


def shape(answer: httpx.Response) -> Shape:
    """All that a refusal shows: but for the request's id, the headers' names in their order."""
    body = {name: value for name, value in answer.json().items() if name != "requestId"}
    names = [name.lower() for name, _ in answer.headers.raw]
    return answer.status_code, body, names, answer.headers["www-authenticate"]


@dataclass(frozen=True)
class Lost:
    """A rotation whose answer its agent has not seen."""

    service: Service
    old: Agent
    new: Agent
    key: str
    first: httpx.Response

    def repeat(self, key: str | None, who: Agent | None = None) -> httpx.Response:
        return rotate(self.service, who or self.old, key)

    @property
    def opens(self) -> bool:
        """Whether the right request still has the answer."""
        return same(self.first, self.repeat(self.key))


@pytest.fixture
def lost(service: Service, developer: Developer) -> Lost:
    return lose(service, service.create_agent(developer.token))


def lose(service: Service, agent: Agent) -> Lost:
    key = new_key()
    first = rotate(service, agent, key)
    return Lost(service, agent, after_rotation(agent, first), key, first)


def mixed(key: Agent, secret: Agent) -> Agent:
    return Agent(key.id, key.name, key.key, secret.secret)


def refused(lost: Lost, answers: Iterator[httpx.Response]) -> None:
    """Each is what an unknown pair is told, with an idempotency key and without."""
    nobody = Agent("", "", forged("ak"), forged("rs"))
    unknown = {str(shape(lost.repeat(key, nobody))) for key in (None, new_key(), lost.key)}
    assert len(unknown) == 1
    assert {str(shape(answer)) for answer in answers} == unknown
    assert "401" in unknown.pop()


GUESSES: dict[str, Callable[[str], str | None]] = {
    "wrong": lambda _: new_key(),
    "absent": lambda _: None,
    "truncated": lambda key: key[:-1],
    "one character longer": lambda key: key + "0",
    "without its first": lambda key: key[1:],
    "of the other case": lambda key: key.upper(),
    "guessed": lambda _: "0" * 36,
    "very long": lambda key: (key * 20)[:255],
    "twice": lambda key: key + key,
    "in single quotes": lambda key: f"'{key}'",
    "half quoted": lambda key: f'"{key}',
}


@pytest.mark.parametrize("guess", GUESSES)
def test_a_guess_is_a_401_and_destroys_nothing(lost: Lost, guess: str) -> None:
    key = GUESSES[guess](lost.key)
    refused(lost, (lost.repeat(key) for _ in range(2)))
    assert lost.opens is True


def test_many_guesses_destroy_nothing_and_use_up_no_repeat(lost: Lost) -> None:
    refused(lost, (lost.repeat(new_key()) for _ in range(25)))
    assert lost.opens is True


def test_a_swapped_secret_is_a_401_and_destroys_nothing(lost: Lost) -> None:
    other = lose(lost.service, lost.service.register())
    strangers = (lost.new, other.old, other.new, Agent("", "", "", forged("rs")))
    refused(lost, (lost.repeat(lost.key, mixed(lost.old, each)) for each in strangers))
    refused(lost, (lost.repeat(lost.key, mixed(each, lost.old)) for each in (other.old, lost.new)))
    assert (lost.opens, other.opens) == (True, True)


def test_another_agent_with_the_right_idempotency_key_is_a_401(lost: Lost) -> None:
    other = lose(lost.service, lost.service.register())
    refused(lost, iter([lost.repeat(lost.key, other.old), lost.repeat(other.key, lost.old)]))
    assert (lost.opens, other.opens) == (True, True)


def test_after_the_first_use_it_is_a_401(lost: Lost) -> None:
    use(lost.service, lost.old, lost.new, lost.key)
    refused(lost, (lost.repeat(lost.key) for _ in range(3)))


def test_one_generation_older_it_is_a_401(lost: Lost) -> None:
    key = new_key()
    answer = rotate(lost.service, lost.new, key)
    refused(lost, iter([lost.repeat(lost.key), lost.repeat(key)]))
    assert same(answer, lost.repeat(key, lost.new)) is True
    assert lost.service.inspect(lost.old.id)["generation"] == 3


CHANGES = {
    "a developer's rotation": ("POST", "/rotate-key"),
    "a new secret": ("POST", "/rotation-secret"),
    "a removed secret": ("DELETE", "/rotation-secret"),
    "a revocation": ("POST", "/revoke"),
    "a deletion": ("DELETE", ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_developers_change_it_is_a_401(
    lost: Lost, developer: Developer, change: str
) -> None:
    method, rest = CHANGES[change]
    path = f"/v1/agents/{lost.old.id}{rest}"
    body = {"reason": "test"} if change == "a revocation" else None
    lost.service.call(method, path, token=developer.token, json=body).raise_for_status()
    refused(lost, (lost.repeat(key) for key in (lost.key, lost.key, new_key(), None)))


def test_after_a_reinstatement_it_is_a_401(lost: Lost, developer: Developer) -> None:
    for call in ("revoke", "reinstate"):
        path = f"/v1/agents/{lost.old.id}/{call}"
        lost.service.post(path, developer.token, json={"reason": "test"}).raise_for_status()
    refused(lost, (lost.repeat(lost.key) for _ in range(2)))


def test_after_its_own_revocation_it_is_a_401(lost: Lost) -> None:
    lost.service.revoke_self(lost.new.key, lost.new.secret).raise_for_status()
    refused(lost, (lost.repeat(lost.key) for _ in range(2)))


def test_the_old_pair_is_dead_for_everything_else(lost: Lost) -> None:
    assert lost.service.whoami(lost.old.key).status_code == 401
    headers = {"Idempotency-Key": lost.key}
    revoked = lost.service.revoke_self(lost.old.key, lost.old.secret, headers=headers)
    assert revoked.status_code == 401
    assert lost.opens is True


@pytest.mark.parametrize("change", ["name", "metadata", "onReuse", "rotationPeriodDays"])
def test_changing_anything_else_leaves_it(lost: Lost, developer: Developer, change: str) -> None:
    body = {"name": "x", "metadata": {"a": 1}, "onReuse": "revoke", "rotationPeriodDays": 1}
    path = f"/v1/agents/{lost.old.id}"
    patch = {change: body[change]}
    lost.service.call("PATCH", path, token=developer.token, json=patch).raise_for_status()
    assert lost.opens is True
