"""The comparison after a fault sees what went wrong: one that can't fail proves nothing."""

from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server

from .connection import Connection
from .ledger import UNLIMITED, Agent, new_agent, verify


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(**UNLIMITED) as started:
        yield started


@pytest.fixture(scope="module")
def operator(server: Server) -> str:
    return server.create_developer("ledger@example.com", operator=True).token


@pytest.fixture
def agent(server: Server) -> Agent:
    """An agent that has rotated twice."""
    with Connection(server.port) as connection:
        agent = new_agent(connection)
        agent.rotate(connection)
        agent.rotate(connection)
    return agent


def test_what_the_client_was_told_is_what_the_server_keeps(
    server: Server, operator: str, agent: Agent
) -> None:
    assert verify(server, operator, [agent]).violations == []


def test_a_rotation_that_the_client_knows_nothing_of_is_a_violation(
    server: Server, operator: str, agent: Agent
) -> None:
    agent.keys.pop()
    agent.secrets.pop()
    assert verify(server, operator, [agent]).violations != []


def test_a_rotation_that_never_happened_is_a_violation(
    server: Server, operator: str, agent: Agent
) -> None:
    agent.keys.append(agent.keys[0])
    agent.secrets.append(agent.secrets[0])
    assert verify(server, operator, [agent]).violations != []


def test_an_unanswered_rotation_that_did_not_happen_is_a_violation_where_it_is_claimed(
    server: Server, operator: str, agent: Agent
) -> None:
    agent.overtaken = True
    assert verify(server, operator, [agent]).violations != []
