"""Section 4 on servers that crash, that are many processes, or that meet a thief."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import opened

from .client import (
    ANOTHER_CONNECTION,
    Agent,
    Service,
    after_rotation,
    assert_problem,
    eventually,
    ipv4,
)
from .conftest import PROXIES, service_of
from .test_recovery import DEADLINE, KEY, REPLAYED, new_key, rotate, same, use

REGISTER = "/v1/auth/agent-register"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that this module kills and starts."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def mortal(server: Server) -> Service:
    return service_of(server)


@pytest.mark.parametrize("number", range(3))
def test_after_a_crash_the_answer_is_the_same_to_the_byte(
    server: Server, mortal: Service, number: int
) -> None:
    agent, key = mortal.register(), new_key()
    first = rotate(mortal, agent, key)
    server.kill()
    server.start()
    again = [rotate(mortal, agent, key) for _ in range(1 + number)]
    assert all(same(first, answer) for answer in again)
    new = after_rotation(agent, again[0])
    assert mortal.whoami(new.key).json()["generation"] == 2
    actions = [entry["action"] for entry in mortal.audit(agentId=agent.id)]
    assert actions.count("credential.rotated") == 1


def test_after_a_crash_a_registration_is_the_same_to_the_byte(
    server: Server, mortal: Service
) -> None:
    headers, address = {KEY: new_key()}, ipv4()
    first = mortal.post(REGISTER, headers=headers, address=address)
    server.kill()
    server.start()
    assert same(first, mortal.post(REGISTER, headers=headers, address=address)) is True


def test_repeats_are_counted_over_a_restart(server: Server, mortal: Service) -> None:
    agent, key = mortal.register(), new_key()
    for _ in range(21):
        rotate(mortal, agent, key).raise_for_status()
    server.restart()
    assert_problem(rotate(mortal, agent, key), 429, "too_many_replays")


def test_what_ended_stays_ended_after_a_crash(server: Server, mortal: Service) -> None:
    agent, key = mortal.register(), new_key()
    new = after_rotation(agent, rotate(mortal, agent, key))
    use(mortal, agent, new, key)
    server.kill()
    server.start()
    assert_problem(rotate(mortal, agent, key), 401, "invalid_credentials")


def test_a_first_use_that_a_crash_forgot_is_noticed_at_the_next(
    server: Server, mortal: Service
) -> None:
    agent, key = mortal.register(), new_key()
    new = after_rotation(agent, rotate(mortal, agent, key))
    mortal.whoami(new.key).raise_for_status()
    server.kill()
    server.start()
    use(mortal, agent, new, key)
    assert_problem(rotate(mortal, agent, key), 401, "invalid_credentials")


def test_a_server_that_is_stopped_writes_the_last_uses(server: Server, mortal: Service) -> None:
    agent, key = mortal.register(), new_key()
    new = after_rotation(agent, rotate(mortal, agent, key))
    mortal.whoami(new.key).raise_for_status()
    server.restart()
    assert_problem(rotate(mortal, agent, key), 401, "invalid_credentials")


def _an_hour_later(server: Server, agent: Agent) -> None:
    """What the agent has retired was retired an hour ago."""
    with opened(server.data_dir / "keyturn.db") as database:
        database.execute(
            "UPDATE retired SET retired_at = retired_at - 3600000 WHERE agent_id = ?", (agent.id,)
        )


def _metric(service: Service, name: str) -> float:
    lines = Service(service.url, "", proxied=False).get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.mark.sqlite_files
def test_a_thiefs_reuse_is_an_error_in_the_log_and_a_metric(
    server: Server, mortal: Service
) -> None:
    agent, address = mortal.register(), ipv4()
    rotate(mortal, agent, None).raise_for_status()
    _an_hour_later(server, agent)
    name = 'keyturn_reuses_total{severity="critical"}'
    before = _metric(mortal, name)
    assert_problem(rotate(mortal, agent, None, address=address), 401, "invalid_credentials")
    eventually(lambda: mortal.audit(agentId=agent.id, action="credential.reused"))
    eventually(lambda: _metric(mortal, name) == before + 1)
    lines = server.log_path.read_text().splitlines()
    logged = [json.loads(line) for line in lines if agent.id in line]
    [told] = [line for line in logged if line.get("level") == "error"]
    assert (told["agent_id"], told["address"]) == (agent.id, address)
    assert (agent.key[11:] in server.log_path.read_text()) is False


@pytest.mark.sqlite_files
@pytest.mark.parametrize(
    ("choice", "status"), [("quarantine", "quarantined"), ("revoke", "revoked")]
)
def test_a_thiefs_reuse_has_the_consequence_that_was_chosen(
    server: Server, mortal: Service, choice: str, status: str
) -> None:
    agent, key = mortal.register(), new_key()
    path = f"/v1/agents/{agent.id}"
    patched = mortal.call("PATCH", path, token=mortal.operator, json={"onReuse": choice})
    patched.raise_for_status()
    first = rotate(mortal, agent, key)
    _an_hour_later(server, agent)
    assert_problem(rotate(mortal, agent, None), 401, "invalid_credentials")
    eventually(lambda: mortal.inspect(agent.id)["status"] == status)
    repeated = rotate(mortal, agent, key)
    assert same(first, repeated) is (choice == "quarantine")
    new = after_rotation(agent, first)
    code = {"quarantine": "agent_quarantined", "revoke": "agent_revoked"}[choice]
    assert_problem(rotate(mortal, new, None), 403, code)
    mortal.post(f"{path}/reinstate", mortal.operator)
    mortal.post(f"{path}/rotate-key", mortal.operator).raise_for_status()
    assert mortal.inspect(agent.id)["status"] == "active"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Service]:
    """A service of three processes."""
    with running_server(workers=3, trusted_proxies=PROXIES) as server:
        yield service_of(server)


def _at_once(count: int, service: Service, path: str, **request: object) -> list[httpx.Response]:
    """So many twins of one request at once, each on a connection of its own."""

    def send(_: int) -> httpx.Response:
        with httpx.Client(timeout=30) as client:
            return client.post(f"{service.url}{path}", **request)  # type: ignore[arg-type]

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(send, range(count)))


@pytest.mark.parametrize("number", range(8))
def test_twins_over_processes_all_have_the_answer_and_one_attempt_is_spent(
    cluster: Service, number: int
) -> None:
    agent, address = cluster.register(), f"198.51.100.{number}"
    headers = {
        KEY: new_key(),
        "Authorization": f"Bearer {agent.key}",
        "X-Forwarded-For": address,
    }
    path = "/v1/agents/self/rotate-key"
    body = {"rotationSecret": agent.secret}
    answers = _at_once(3, cluster, path, headers=headers, json=body)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(same(answers[0], answer) for answer in answers)
    assert sum(REPLAYED in answer.headers for answer in answers) == 2
    assert cluster.inspect(agent.id)["generation"] == 2
    assert len(cluster.audit(agentId=agent.id, action="credential.rotated")) == 1
    left = cluster.rotate("nobody", "nothing", address=address).headers["ratelimit"]
    assert left.startswith('"rotation";r=1;')


@pytest.mark.parametrize("number", range(8))
def test_twins_of_a_registration_over_processes_make_one_agent(
    cluster: Service, number: int
) -> None:
    token = cluster.create_token("enrolment", cluster.operator)["token"]
    headers = {KEY: new_key(), "X-Forwarded-For": f"198.51.101.{number}"}
    body = {"name": f"twin {number}", "enrolmentToken": token}
    answers = _at_once(6, cluster, REGISTER, headers=headers, json=body)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert all(same(answers[0], answer) for answer in answers)
    assert len(cluster.listed("/v1/agents", cluster.operator, q=body["name"])) == 1


def test_a_first_use_in_one_process_ends_it_in_all(cluster: Service) -> None:
    agent, key = cluster.register(), new_key()
    first = rotate(cluster, agent, key)
    headers = {**ANOTHER_CONNECTION, KEY: key}

    def everywhere() -> set[int]:
        answers = [
            cluster.rotate(agent.key, agent.secret, headers=headers).status_code for _ in range(8)
        ]
        return set(answers)

    assert everywhere() == {200}
    cluster.whoami(after_rotation(agent, first).key).raise_for_status()
    deadline = time.monotonic() + DEADLINE
    while rotate(cluster, agent, key).status_code != 401:
        assert time.monotonic() < deadline, "the receipt outlives the first use"
        time.sleep(0.5)
    assert everywhere() == {401}
