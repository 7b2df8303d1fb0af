"""A store on SQLite with everything in it is moved to PostgreSQL: nothing is lost or revived."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyturn.testing import Server
from tests.postgres import Cluster

from .client import (
    Developer,
    Service,
    after_rotation,
    assert_problem,
    eventually,
    forged,
    ipv4,
)
from .conftest import PROXIES, service_of

pytestmark = pytest.mark.sqlite_files

LISTS = ("agents", "developers", "developer-tokens", "service-tokens", "enrolment-tokens")
Lists = dict[str, list[dict[str, Any]]]


def _lists(service: Service) -> Lists:
    return {name: service.listed(f"/v1/{name}", service.operator) for name in LISTS}


def _without_uses(lists: Lists) -> Lists:
    return {
        name: [{k: v for k, v in item.items() if not k.startswith("lastUsed")} for item in items]
        for name, items in lists.items()
    }


def _items(lists: Lists) -> list[dict[str, Any]]:
    return [item for items in lists.values() for item in items]


@dataclass
class Life:
    """What was done before the move, with what must still be so afterwards."""

    service: Service
    developer: Developer
    disabled: Developer
    checker: str
    address: str = field(default_factory=ipv4)

    def __post_init__(self) -> None:
        service = self.service
        self.plain = service.register(name="Zoë 🔑 \u2028")
        self.retired = service.register()
        self.rotated = after_rotation(
            self.retired, service.rotate(self.retired.key, self.retired.secret)
        )
        self.owned = service.create_agent(self.developer.token, secret=False)
        path = f"/v1/agents/{self.owned.id}"
        changed = {"metadata": {"nul": "\0", "deep": [1, None]}, "onReuse": "quarantine"}
        service.call("PATCH", path, token=self.developer.token, json=changed).raise_for_status()
        self.revoked = service.register()
        service.revoke_self(self.revoked.key, self.revoked.secret).raise_for_status()
        self.deleted = service.register()
        gone = service.call("DELETE", f"/v1/agents/{self.deleted.id}", token=service.operator)
        gone.raise_for_status()
        self._lose_answers()
        self._spend()
        service.post(f"/v1/developers/{self.disabled.id}/disable", service.operator)
        self.lists = eventually(self._used_lists)
        self.trail = eventually(self._settled_trail)
        # Just before the end, so that it is on its way to the trail.
        self.refused = service.rotate(self.plain.key, forged("rs"))

    def _lose_answers(self) -> None:
        self.again: dict[str, Any] = {"headers": {"Idempotency-Key": secrets.token_urlsafe(24)}}
        self.lost = self.service.register()
        self.lost_answer = self.repeat_rotation(self.service).raise_for_status()
        self.lost_registration = self.repeat_registration(self.service).raise_for_status()

    def repeat_rotation(self, service: Service) -> httpx.Response:
        return service.rotate(self.lost.key, self.lost.secret, **self.again)

    def repeat_registration(self, service: Service) -> httpx.Response:
        body = {"name": "whose answer was lost"}
        path = "/v1/auth/agent-register"
        return service.post(path, json=body, address=self.address, **self.again)

    def _spend(self) -> None:
        for _ in range(3):
            self.service.rotate(forged("ak"), forged("rs"), address=self.address)
        self.charge(self.service).raise_for_status()
        self.enrolment = self.service.create_token("enrolment", self.developer.token)["token"]
        self.service.register(enrolmentToken=self.enrolment)

    def charge(self, service: Service) -> httpx.Response:
        return service.verify(self.checker, self.rotated.key, 13, **self.again)

    def _used_lists(self) -> Lists | None:
        """With a last use, which is noted within half a second."""
        found = _lists(self.service)
        return found if any(item.get("lastUsedAt") for item in _items(found)) else None

    def _settled_trail(self) -> list[dict[str, Any]] | None:
        """With what was refused, which comes within a second."""
        found = self.service.audit()
        reasons = [entry["details"].get("reason") for entry in found]
        return found if "invalid_credentials" in reasons else None


@dataclass
class Moved:
    server: Server
    life: Life
    service: Service
    url: str
    output: str


@pytest.fixture(scope="module")
def moved(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """A service on PostgreSQL, and what it was on SQLite until it crashed and was moved."""
    server = Server(tmp_path_factory.mktemp("moved") / "data", trusted_proxies=PROXIES)
    try:
        server.start()
        before = service_of(server)
        checker = before.create_token("service", before.operator)["token"]
        life = Life(before, before.create_developer(), before.create_developer(), checker)
        server.kill()
        url = postgres.new_database()
        done = server.run("migrate", "--to", url)
        assert done.returncode == 0, done.stderr
        server.settings["database"] = url
        server.start()
        yield Moved(server, life, Service(server.url, before.operator), url, done.stdout)
    finally:
        server.kill()


def test_every_list_is_the_same(moved: Moved) -> None:
    before = moved.life.lists
    found = _lists(moved.service)
    assert _without_uses(found) == _without_uses(before)
    for earlier, later in zip(_items(before), _items(found), strict=True):
        # To read the lists is a use of the operator's token.
        assert earlier == later or (earlier["lastUsedAt"] or "") < later["lastUsedAt"]


def test_the_trail_is_the_same_and_says_that_it_was_moved(moved: Moved) -> None:
    trail = moved.service.audit()
    number = [entry["action"] for entry in trail].index("store.moved")
    old = moved.life.trail
    assert trail[number]["details"] == {"from": "sqlite", "to": "postgresql"}
    assert [entry for entry in trail if entry["at"] <= old[0]["at"]] == old


def test_a_refusal_on_its_way_to_the_trail_arrives(moved: Moved) -> None:
    assert moved.life.refused.status_code == 401
    moved.service.inspect(moved.life.plain.id)
    [entry] = eventually(
        lambda: moved.service.audit(
            agentId=moved.life.plain.id, action="credential.rotation_refused"
        )
    )
    assert entry["requestId"] == moved.life.refused.headers["x-request-id"]


def test_good_keys_are_good_and_dead_ones_dead(moved: Moved) -> None:
    service, life = moved.service, moved.life
    for agent in (life.plain, life.rotated, life.owned):
        assert service.whoami(agent.key).status_code == 200
    for agent in (life.retired, life.deleted, life.lost):
        assert_problem(service.whoami(agent.key), 401, "invalid_credentials")
        assert_problem(service.rotate(agent.key, agent.secret), 401, "invalid_credentials")
    assert_problem(service.whoami(life.revoked.key), 403, "agent_revoked")


def test_a_retired_pair_that_comes_back_is_known(moved: Moved) -> None:
    retired = moved.life.retired
    moved.service.rotate(retired.key, retired.secret)
    assert eventually(lambda: moved.service.audit(agentId=retired.id, action="credential.reused"))


def test_a_rotation_whose_answer_was_lost_before_is_repeated_after(moved: Moved) -> None:
    answer = moved.life.repeat_rotation(moved.service)
    assert answer.content == moved.life.lost_answer.content
    assert answer.headers["Idempotency-Replayed"] == "true"
    agent = after_rotation(moved.life.lost, answer)
    assert moved.service.rotate(agent.key, agent.secret).status_code == 200


def test_a_registration_whose_answer_was_lost_before_is_repeated_after(moved: Moved) -> None:
    answer = moved.life.repeat_registration(moved.service)
    assert answer.content == moved.life.lost_registration.content


def test_attempts_that_were_spent_are_spent(moved: Moved) -> None:
    answer = moved.service.rotate(forged("ak"), forged("rs"), address=moved.life.address)
    assert_problem(answer, 429, "too_many_rotation_attempts")


def test_a_cost_that_was_taken_is_not_taken_again(moved: Moved) -> None:
    balance = moved.service.balance(moved.life.rotated)
    assert moved.life.charge(moved.service).json()["valid"]
    assert moved.service.balance(moved.life.rotated) == balance == 87


def test_tokens_are_as_good_as_they_were(moved: Moved) -> None:
    service, life = moved.service, moved.life
    spent = {"enrolmentToken": life.enrolment}
    answer = service.post("/v1/auth/agent-register", json=spent)
    assert_problem(answer, 401, "invalid_enrolment_token")
    assert_problem(service.get("/v1/agents", life.disabled.token), 401, "invalid_token")
    [*_, first] = service.listed("/v1/agents", life.developer.token)
    assert first["agentId"] == life.owned.id


def test_what_is_new_comes_after_what_was_moved(moved: Moved) -> None:
    service = moved.service
    agent = service.register()
    assert service.listed("/v1/agents", service.operator)[0]["agentId"] == agent.id
    token = service.create_token("service", service.operator)
    assert service.listed("/v1/service-tokens", service.operator)[0]["id"] == token["id"]
    developer = service.create_developer()
    assert service.listed("/v1/developers", service.operator)[0]["developerId"] == developer.id


def test_the_operator_is_told_what_to_do_next(moved: Moved) -> None:
    for word in ("read back", "KEYTURN_DATABASE", "KEYTURN_SERVER_KEY", "server-key", "refused"):
        assert word in moved.output


def moved_away(server: Server) -> Server:
    """A handle on the files that were left behind."""
    return Server(server.data_dir)


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--port", "0"),
        ("serve", "--port", "0", "--workers", "2"),
        ("developer", "create", "--email", "someone@example.com"),
        ("restore", "--repair"),
    ],
)
def test_what_was_left_behind_is_not_used_and_says_where_to_go(
    moved: Moved, command: tuple[str, ...]
) -> None:
    result = moved_away(moved.server).run(*command)
    assert result.returncode == 1
    assert "was moved to PostgreSQL (database postgres on" in result.stderr
    assert "KEYTURN_DATABASE" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_backup_of_what_was_left_behind_is_not_restored(moved: Moved, tmp_path: Path) -> None:
    left = moved_away(moved.server)
    assert left.run("backup", str(tmp_path / "copy.db")).returncode == 0
    result = left.run("restore", str(tmp_path / "copy.db"))
    assert result.returncode == 1
    assert "was moved to PostgreSQL" in result.stderr


def test_a_second_move_to_the_same_place_finds_nothing_to_do(moved: Moved) -> None:
    result = moved_away(moved.server).run("migrate", "--to", moved.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert "was moved already" in result.stdout


def test_a_second_move_to_another_place_is_refused_and_leaves_it_empty(
    moved: Moved, postgres: Cluster
) -> None:
    url = postgres.new_database()
    result = moved_away(moved.server).run("migrate", "--to", url)
    assert result.returncode == 1
    assert "was moved already" in result.stderr
    schema = url.rpartition("%3D")[2]
    assert postgres.run(f"SELECT * FROM pg_tables WHERE schemaname = '{schema}'") == []
