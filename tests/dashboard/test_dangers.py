"""What can't be taken back is done to the agent that was shown, or not at all."""

import pytest

from keyturn.actions.revoke_agent import reinstate_agent, revoke_for_developer
from keyturn.actions.rotate_credentials import rotate_for_developer, rotate_own_credentials
from tests.actions.world import World, call, presented
from tests.dashboard.visiting import PASSWORD, Browser, Person, while_the_password_is_checked

NOTHING_DONE = "so nothing was done"


@pytest.mark.parametrize(
    "danger", ["rotate", "rotation-secret", "remove-secret", "revoke", "delete"]
)
def test_nothing_is_done_to_an_agent_that_rotates_itself_while_the_password_is_checked(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch, danger: str
) -> None:
    agent = world.register()
    while_the_password_is_checked(
        world,
        monkeypatch,
        lambda: rotate_own_credentials(world.service, call(), presented(agent.pair)),
    )
    path = f"/dashboard/agents/{agent.agent_id}/change/{danger}"
    answer = browser.post(path, generation="1", password=PASSWORD)
    assert (answer.status_code, NOTHING_DONE in answer.text) == (409, True)
    assert 'name="generation" value="2"' in answer.text
    kept = world.agent(agent.agent_id)
    assert (kept.generation, kept.status, kept.secret_mac is None) == (2, "active", False)


def test_an_agent_that_was_reinstated_and_revoked_meanwhile_is_not_given_another_pair(
    world: World, browser: Browser, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.register()
    browser.post(f"/dashboard/agents/{agent.agent_id}/change/revoke", generation="1")

    async def again() -> None:
        asked = world.service, call(), ada.principal, agent.agent_id
        await reinstate_agent(*asked)
        await revoke_for_developer(*asked, "")

    while_the_password_is_checked(world, monkeypatch, again)
    path = f"/dashboard/agents/{agent.agent_id}/change/reinstate"
    answer = browser.post(path, generation="1", password=PASSWORD)
    assert (answer.status_code, NOTHING_DONE in answer.text) == (409, True)
    assert world.agent(agent.agent_id).revoked


def test_a_wrong_password_does_not_agree_to_what_changed_meanwhile(
    world: World, browser: Browser, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id = world.register().agent_id
    while_the_password_is_checked(
        world,
        monkeypatch,
        lambda: rotate_for_developer(world.service, call(), ada.principal, agent_id),
    )
    path = f"/dashboard/agents/{agent_id}/change/rotate"
    answer = browser.post(path, generation="1", password="certainly not this")
    assert answer.status_code == 403
    assert 'name="generation" value="1"' in answer.text
