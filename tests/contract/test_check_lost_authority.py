"""Section 6: a check that has to wait goes by what is true when it is answered."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import overtaken

from .checks import verdict
from .client import Agent, Developer, Service, assert_problem
from .conftest import PROXIES, service_of
from .test_recovery import KEY, new_key

REVOKED = "UPDATE agents SET status = 'revoked' WHERE id = ?"
DISABLED = "UPDATE developers SET status = 'disabled' WHERE id = ?"
NO_TOKENS = "DELETE FROM tokens WHERE developer_id = ? AND kind = 'sv'"

pytestmark = pytest.mark.sqlite_files


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose file this module writes to."""
    with running_server(trusted_proxies=PROXIES) as started:
        yield started


@pytest.fixture(scope="module")
def watched(server: Server) -> Service:
    """A client of it."""
    return service_of(server)


@pytest.fixture
def owner(watched: Service) -> Developer:
    return watched.create_developer()


@pytest.fixture
def agents(watched: Service, owner: Developer) -> tuple[Agent, Agent]:
    return watched.create_agent(owner.token), watched.create_agent(owner.token)


@pytest.fixture
def token(watched: Service, owner: Developer) -> str:
    made: str = watched.create_token("service", owner.token)["token"]
    return made


def _waiting(
    server: Server,
    service: Service,
    token: str,
    keys: list[Any],
    *,
    change: str,
    who: str,
    key: str,
) -> httpx.Response:
    """The answer to a batch that waited while another process made the change."""
    return overtaken(
        server.data_dir / "keyturn.db",
        lambda: service.verify_batch(token, *keys, headers={KEY: key}),
        change,
        who,
    )


@pytest.mark.parametrize("cost", [0, 1])
def test_a_key_that_died_meanwhile_is_refused(
    server: Server, watched: Service, token: str, agents: tuple[Agent, Agent], cost: int
) -> None:
    paid, other = agents
    keys = [{"key": paid.key, "cost": 1}, {"key": other.key, "cost": cost}]
    answer = _waiting(server, watched, token, keys, change=REVOKED, who=other.id, key=new_key())
    assert [verdict(item) for item in answer.json()["items"]] == ["valid", "revoked"]
    assert (watched.balance(paid), watched.balance(other)) == (99, 100)


def test_a_key_that_died_meanwhile_is_refused_although_it_was_paid_for_before(
    server: Server, watched: Service, token: str, agents: tuple[Agent, Agent]
) -> None:
    key, keys = new_key(), [{"key": agents[0].key, "cost": 1}]
    watched.verify_batch(token, *keys, headers={KEY: key}).raise_for_status()
    answer = _waiting(server, watched, token, keys, change=REVOKED, who=agents[0].id, key=key)
    assert [verdict(item) for item in answer.json()["items"]] == ["revoked"]


@pytest.mark.parametrize("change", [DISABLED, NO_TOKENS], ids=["disabled", "deleted"])
def test_a_service_whose_token_died_meanwhile_takes_nothing(
    server: Server,
    watched: Service,
    owner: Developer,
    token: str,
    agents: tuple[Agent, Agent],
    change: str,
) -> None:
    keys = [{"key": agents[0].key, "cost": 1}]
    answer = _waiting(server, watched, token, keys, change=change, who=owner.id, key=new_key())
    balance = watched.balance(agents[0])
    assert_problem(answer, 401, "invalid_token")
    assert balance == 100
