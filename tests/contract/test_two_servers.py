"""Two servers, each with a data directory of its own, on one PostgreSQL are one service."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyturn.testing import Server
from tests.pgbouncer import Pooler
from tests.postgres import Cluster

from .client import Agent, Service, after_rotation, assert_problem, eventually, forged, ipv4
from .conftest import PROXIES, server_key, service_of

AT_ONCE = 12
ROUNDS = 5


@dataclass(frozen=True)
class Two:
    here: Service
    there: Service
    servers: tuple[Server, Server]

    @property
    def both(self) -> tuple[Service, Service]:
        return self.here, self.there

    def at_once(self, ask: Callable[[Service], httpx.Response]) -> list[httpx.Response]:
        """The answers of both to requests that come at one moment, to each as many."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(ask, self.both[number % 2]) for number in range(AT_ONCE)]
            return [each.result() for each in asked]


@pytest.fixture(scope="module")
def two(databases: Cluster | Pooler, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    settings: dict[str, Any] = {
        "database": databases.new_database(),
        "server_key": server_key(),
        "trusted_proxies": PROXIES,
    }
    servers = Server(folder / "here", **settings), Server(folder / "there", **settings)
    try:
        # Both at once: they make one schema.
        for server in servers:
            server.start(wait=False)
        for server in servers:
            eventually(lambda: _is_ready(server))  # noqa: B023
        here = service_of(servers[0])
        yield Two(here, Service(servers[1].url, here.operator), servers)
    finally:
        for server in servers:
            server.kill()


def _is_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def agent(two: Two) -> Agent:
    return two.here.register()


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_of_simultaneous_rotations_at_both_one_succeeds(two: Two, agent: Agent) -> None:
    for _ in range(ROUNDS):
        answers = two.at_once(lambda service: service.rotate(agent.key, agent.secret))  # noqa: B023
        assert statuses(answers) == {200: 1, 401: AT_ONCE - 1}
        [won] = [answer for answer in answers if answer.status_code == 200]
        agent = after_rotation(agent, won)
    assert two.here.inspect(agent.id)["generation"] == ROUNDS + 1


def test_of_simultaneous_repeats_at_both_all_get_one_answer(two: Two, agent: Agent) -> None:
    sent = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
    answers = two.at_once(lambda service: service.rotate(agent.key, agent.secret, **sent))
    assert statuses(answers) == {200: AT_ONCE}
    assert len({answer.content for answer in answers}) == 1


def test_a_key_is_dead_and_the_new_one_good_in_both_at_once(two: Two, agent: Agent) -> None:
    for number in range(2 * ROUNDS):
        rotating, other = two.both[number % 2], two.both[1 - number % 2]
        old, agent = agent, after_rotation(agent, rotating.rotate(agent.key, agent.secret))
        assert other.forward(old.key).status_code == 401
        assert_problem(other.whoami(old.key), 401, "invalid_credentials")
        assert_problem(other.rotate(old.key, old.secret), 401, "invalid_credentials")
        assert other.forward(agent.key).status_code == 200


def test_an_agent_that_was_revoked_at_one_is_refused_by_the_other(two: Two, agent: Agent) -> None:
    two.here.revoke_self(agent.key, agent.secret).raise_for_status()
    assert_problem(two.there.whoami(agent.key), 403, "agent_revoked")
    assert two.there.forward(agent.key).status_code == 403


def test_a_token_that_was_deleted_at_one_is_refused_by_the_other(two: Two) -> None:
    made = two.here.create_token("service", two.here.operator)
    assert two.there.verify(made["token"], forged("ak")).status_code == 200
    path = f"/v1/service-tokens/{made['id']}"
    two.here.call("DELETE", path, token=two.here.operator).raise_for_status()
    assert_problem(two.there.verify(made["token"], forged("ak")), 401, "invalid_token")


def test_credits_that_both_take_at_once_are_counted_to_the_last(two: Two, agent: Agent) -> None:
    token = two.here.create_token("service", two.here.operator)["token"]
    answers = two.at_once(lambda service: service.verify(token, agent.key, 13))
    balances = [each.json()["creditBalance"] for each in answers if each.json()["valid"]]
    assert sorted(balances) == [9, 22, 35, 48, 61, 74, 87]
    assert two.there.balance(agent) == 9


def test_a_cost_that_both_are_asked_to_take_under_one_idempotency_key_is_taken_once(
    two: Two, agent: Agent
) -> None:
    token = two.here.create_token("service", two.here.operator)["token"]
    sent = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
    answers = two.at_once(lambda service: service.verify(token, agent.key, 13, **sent))
    assert all(answer.json()["valid"] for answer in answers)
    assert two.there.balance(agent) == 87


def test_of_simultaneous_attempts_at_both_from_one_address_three_pass(two: Two) -> None:
    for _ in range(ROUNDS):
        address = ipv4()
        answers = two.at_once(
            lambda service: service.rotate(forged("ak"), forged("rs"), address=address)  # noqa: B023
        )
        assert statuses(answers) == {401: 3, 429: AT_ONCE - 3}


def test_what_was_done_and_refused_at_one_is_in_the_trail_of_the_other(
    two: Two, agent: Agent
) -> None:
    two.here.rotate(agent.key, forged("rs"))
    after_rotation(agent, two.there.rotate(agent.key, agent.secret))
    for service in two.both:
        found = [entry["action"] for entry in service.audit(agentId=agent.id)]
        assert found == ["credential.rotated", "credential.rotation_refused", "agent.registered"]


def test_no_credential_is_in_any_file_of_the_database_server(
    two: Two, agent: Agent, postgres: Cluster
) -> None:
    once = secrets.token_urlsafe(24)
    answer = two.here.rotate(agent.key, agent.secret, headers={"Idempotency-Key": once})
    new = after_rotation(agent, answer)
    wrong = forged("rs")
    two.there.rotate(new.key, wrong)
    two.there.verify(two.here.operator, new.key)
    postgres.run("CHECKPOINT")
    shown = [agent.key, agent.secret, new.key, new.secret, wrong, once, two.here.operator]
    held = b"".join(path.read_bytes() for path in postgres.folder.rglob("*") if path.is_file())
    assert agent.id.encode() in held
    # Compared apart, so that a failure shows none of them.
    assert [text.encode() in held for text in shown] == [False] * len(shown)


def test_one_goes_on_when_the_other_is_killed(two: Two, agent: Agent) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        lost = [pool.submit(two.there.register) for _ in range(AT_ONCE)]
        two.servers[1].kill()
        after_rotation(agent, two.here.rotate(agent.key, agent.secret))
        assert all(isinstance(each.exception(), httpx.HTTPError | None) for each in lost)
    two.servers[1].start()
    assert two.there.forward(agent.key).status_code == 401


def test_a_third_without_the_server_key_is_refused(two: Two, tmp_path: Path) -> None:
    database = two.servers[0].settings["database"]
    refused = Server(tmp_path / "third", database=database).run("serve", "--port", "0")
    assert refused.returncode == 1
    assert "There is no server key, and this installation has 'k1'" in refused.stderr
    assert not (tmp_path / "third" / "server-key").exists()


@pytest.mark.parametrize(
    ("arguments", "settings", "word"),
    [
        (["backup", "FILE"], {}, "PostgreSQL has tools of its own"),
        (["restore", "FILE"], {}, "PostgreSQL has tools of its own"),
        (["serve"], {"fence": "/nowhere/fence"}, "KEYTURN_FENCE"),
    ],
)
def test_what_is_for_files_is_refused(
    two: Two, tmp_path: Path, arguments: list[str], settings: dict[str, Any], word: str
) -> None:
    database = two.servers[0].settings["database"]
    refused = Server(tmp_path / "data", database=database, **settings).run(*arguments)
    assert refused.returncode == 1
    assert word in refused.stderr
    assert not Path("FILE").exists()
