"""Section 5: a token that dies while its request waits can't change anything any more."""

import pytest

from keyturn.testing import running_server
from tests.sqlite import overtaken

from .client import assert_problem
from .conftest import PROXIES, service_of


@pytest.mark.sqlite_files
def test_a_change_that_waited_is_refused_when_its_developer_was_disabled_meanwhile() -> None:
    with running_server(trusted_proxies=PROXIES) as server:
        service = service_of(server)
        developer = service.create_developer()
        agent = service.create_agent(developer.token)
        answer = overtaken(
            server.data_dir / "keyturn.db",
            lambda: service.post(f"/v1/agents/{agent.id}/rotate-key", developer.token),
            "UPDATE developers SET status = 'disabled' WHERE id = ?",
            developer.id,
        )
        assert_problem(answer, 401, "invalid_token")
        assert service.whoami(agent.key).json()["generation"] == 1


def test_a_developer_cannot_flood_the_trail_with_agents_that_are_not_theirs() -> None:
    with running_server(trusted_proxies=PROXIES) as server:
        service = service_of(server)
        developer = service.create_developer()
        for number in range(40):
            missing = f"/v1/agents/00000000-0000-4000-8000-{number:012d}"
            assert service.call("DELETE", missing, token=developer.token).status_code == 404
        entries = service.audit(developer.token, action="agent.deleted")
        assert len(entries) == 1
        assert entries[0]["details"]["reason"] == "agent_not_found"
        assert entries[0]["developerId"] == developer.id
