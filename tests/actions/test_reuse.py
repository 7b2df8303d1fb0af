"""A retired credential that comes back is noticed wherever it is shown."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.core.errors import InvalidCredentials
from keyturn.core.instant import rfc3339
from tests.actions.lost import new_key, revealed, with_key
from tests.actions.reused import Life, Noticed, noticed
from tests.actions.world import START, call, presented
from tests.storage.batches import do

Shows = Callable[[Life], None]

# Who shows what where, and what is noticed. Generations 1 and 2 are retired, 3 is current.
SHOWN: dict[str, tuple[Shows, Noticed]] = {
    "its key, at a look": (
        lambda life: life.look(life.pairs[0]),
        [("warning", "api_key", 1)],
    ),
    "its key, at a rotation": (
        lambda life: life.rotate(replace(presented(life.pairs[1]), rotation_secret="x")),
        [("warning", "api_key", 2)],
    ),
    "its key, at a revocation": (
        lambda life: life.revoke(replace(presented(life.pairs[1]), rotation_secret="x")),
        [("warning", "api_key", 2)],
    ),
    "its secret beside an unknown key": (
        lambda life: life.rotate(replace(presented(life.pairs[0]), authorization="Bearer x")),
        [("warning", "rotation_secret", 1)],
    ),
    "its secret beside the current key": (
        lambda life: life.rotate(life.mixed(life.pairs[2], life.pairs[1])),
        [("warning", "rotation_secret", 2)],
    ),
    "its secret beside the current key, at a revocation": (
        lambda life: life.revoke(life.mixed(life.pairs[2], life.pairs[1])),
        [("warning", "rotation_secret", 2)],
    ),
    "its key beside the current secret": (
        lambda life: life.rotate(life.mixed(life.pairs[1], life.pairs[2])),
        [("warning", "api_key", 2)],
    ),
    "the pair, at a rotation": (
        lambda life: life.rotate(presented(life.pairs[1])),
        [("critical", "pair", 2)],
    ),
    "the pair before it, at a rotation": (
        lambda life: life.rotate(presented(life.pairs[0])),
        [("critical", "pair", 1)],
    ),
    "the pair, at a revocation": (
        lambda life: life.revoke(presented(life.pairs[0])),
        [("critical", "pair", 1)],
    ),
    "key and secret of different generations": (
        lambda life: life.rotate(life.mixed(life.pairs[0], life.pairs[1])),
        [("warning", "api_key", 1), ("warning", "rotation_secret", 2)],
    ),
    "key and secret of different agents": (
        lambda life: life.rotate(life.mixed(life.pairs[0], life.stranger)),
        [("warning", "api_key", 1), ("warning", "rotation_secret", 1)],
    ),
    "the pair with an idempotency key that is not its own": (
        lambda life: life.rotate(with_key(life.pairs[0], new_key())),
        [("critical", "pair", 1)],
    ),
    "nothing of anybody's": (
        lambda life: life.rotate(Presented("Bearer x", "y")),
        [],
    ),
}


@pytest.mark.parametrize("shown", SHOWN)
def test_it_is_noticed_wherever_it_is_shown(life: Life, shown: str) -> None:
    shows, expected = SHOWN[shown]
    shows(life)
    assert noticed(life.world) == expected


def test_key_and_secret_of_different_agents_are_noticed_for_each(life: Life) -> None:
    life.rotate(life.mixed(life.pairs[0], life.stranger))
    assert noticed(life.world, life.agent_id) == [("warning", "api_key", 1)]
    assert noticed(life.world, life.stranger_id) == [("warning", "rotation_secret", 1)]


def test_an_entry_tells_whose_it_was_and_when_it_was_retired_and_who_called(life: Life) -> None:
    do(rotate_own_credentials_refused(life, "203.0.113.7"))
    [entry] = life.world.trail(action="credential.reused")
    assert (entry.agent_id, entry.outcome) == (life.agent_id, "refused")
    assert entry.developer_id == life.world.agent(life.agent_id).developer_id
    assert (entry.actor_kind, entry.address, entry.user_agent) == (
        "anonymous",
        "203.0.113.7",
        "curl/8",
    )
    assert entry.details == {
        "severity": "critical",
        "credential": "pair",
        "generation": 1,
        "currentGeneration": life.world.agent(life.agent_id).generation,
        "retiredAt": rfc3339(START),
        "retiredBy": "agent",
    }


async def rotate_own_credentials_refused(life: Life, address: str) -> None:
    with pytest.raises(InvalidCredentials):
        await rotate_own_credentials(life.world.service, call(address), presented(life.pairs[0]))


def test_an_entry_shows_no_credential(life: Life) -> None:
    life.rotate(presented(life.pairs[0]))
    shown = str(life.world.trail())
    assert any(text[11:] in shown for text in revealed(life.pairs[0])) is False
