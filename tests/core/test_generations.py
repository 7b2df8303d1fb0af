"""The generations of an agent, told from its entries."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from keyturn.core.audit_trail import Entry
from keyturn.core.generations import Generation, Mark, generations

NOW = 1_800_000_000_000


def entry(at: int, action: str, *, actor: Any = "agent", **details: Any) -> Entry:
    refused = action.endswith(("_refused", ".reused")) or details.pop("refused", False)
    return Entry(
        id=f"entry {at}",
        at=NOW + at,
        actor_kind=actor,
        actor_id=None,
        action=action,
        outcome="refused" if refused else "success",
        agent_id="agent-1",
        developer_id="ada",
        address=None,
        user_agent=None,
        request_id=None,
        details=details,
    )


def generation(number: int, began: int | None, ended: int | None, how: Any) -> Generation:
    begun, over = (None if at is None else NOW + at for at in (began, ended))
    return Generation(number, begun, over, how, [])


@dataclass(frozen=True)
class Life:
    """Entries in the order in which they happened, and the generations that they tell of."""

    told: str
    entries: list[Entry]
    current: int
    expected: list[Generation]
    marks: dict[int, list[Mark]] = field(default_factory=dict)


REGISTERED = entry(0, "agent.registered")
ROTATED = entry(10, "credential.rotated", generation=2)
SECOND = generation(2, 10, None, "rotated_by_agent")
FIRST = generation(1, 0, 10, "registered")

LIVES = [
    Life("nothing at hand", [], 3, [generation(3, None, None, None)]),
    Life("registered", [REGISTERED], 1, [generation(1, 0, None, "registered")]),
    Life(
        "created by a developer",
        [entry(0, "agent.created", actor="developer")],
        1,
        [generation(1, 0, None, "created")],
    ),
    Life("rotated by itself", [REGISTERED, ROTATED], 2, [SECOND, FIRST]),
    *(
        Life(
            how,
            [REGISTERED, entry(10, action, actor=actor, generation=2)],
            2,
            [generation(2, 10, None, how), FIRST],
        )
        for action, actor, how in (
            ("credential.rotated", "developer", "rotated_by_developer"),
            ("credential.rotated", "command_line", "rotated_by_developer"),
            ("agent.reinstated", "developer", "reinstated"),
            ("rotation_secret.configured", "developer", "secret_configured"),
            ("rotation_secret.removed", "developer", "secret_removed"),
            ("credential.fenced", "command_line", "fenced"),
        )
    ),
    Life(
        "a registration and a rotation whose answers were repeated",
        [
            REGISTERED,
            entry(5, "agent.registration_replayed"),
            ROTATED,
            entry(11, "credential.rotation_replayed", generation=2),
        ],
        2,
        [SECOND, FIRST],
        {
            1: [Mark("entry 5", NOW + 5, "replayed")],
            2: [Mark("entry 11", NOW + 11, "replayed")],
        },
    ),
    Life(
        "a retired pair that came back marks the generation that was retired",
        [
            REGISTERED,
            ROTATED,
            entry(12, "credential.reused", generation=1, severity="critical"),
            entry(20, "credential.reused", severity="critical", count=7),
        ],
        2,
        [SECOND, FIRST],
        {
            1: [Mark("entry 12", NOW + 12, "reused", severity="critical")],
            2: [Mark("entry 20", NOW + 20, "reused", severity="critical", times=7)],
        },
    ),
    Life(
        "refusals mark what was current then",
        [
            REGISTERED,
            entry(3, "credential.rotation_refused", reason="invalid_credentials"),
            ROTATED,
            entry(13, "agent.reinstated", actor="developer", refused=True, reason="agent_active"),
        ],
        2,
        [SECOND, FIRST],
        {
            1: [Mark("entry 3", NOW + 3, "refused", why="invalid_credentials")],
            2: [Mark("entry 13", NOW + 13, "refused", why="agent_active")],
        },
    ),
    Life(
        "quarantined, then revoked, newest first",
        [
            REGISTERED,
            ROTATED,
            entry(14, "agent.updated", actor="system", status="quarantined", reason="reuse"),
            entry(15, "agent.revoked", actor="developer", reason="stolen"),
        ],
        2,
        [SECOND, FIRST],
        {
            2: [
                Mark("entry 15", NOW + 15, "revoked", why="stolen"),
                Mark("entry 14", NOW + 14, "quarantined", why="reuse"),
            ]
        },
    ),
    Life(
        "what leaves the credentials alone is no mark",
        [
            REGISTERED,
            entry(1, "agent.updated", actor="developer", changed=["name"]),
            entry(2, "credits.changed", actor="developer", amount=5),
        ],
        1,
        [generation(1, 0, None, "registered")],
    ),
    Life(
        "older entries are not at hand",
        [
            entry(5, "credential.rotation_refused", reason="invalid_credentials"),
            entry(10, "credential.rotated", generation=8),
            entry(11, "credential.reused", generation=3, severity="warning"),
        ],
        8,
        [
            generation(8, 10, None, "rotated_by_agent"),
            generation(7, None, 10, None),
            generation(3, None, None, None),
        ],
        {
            7: [Mark("entry 5", NOW + 5, "refused", why="invalid_credentials")],
            3: [Mark("entry 11", NOW + 11, "reused", severity="warning")],
        },
    ),
    Life(
        "only refusals are at hand",
        [entry(5, "credential.rotation_refused", reason="invalid_credentials")],
        4,
        [generation(4, None, None, None)],
        {4: [Mark("entry 5", NOW + 5, "refused", why="invalid_credentials")]},
    ),
    Life(
        "a refusal before the registration stays with the first generation",
        [entry(-1, "credential.rotation_refused", reason="invalid_credentials"), REGISTERED],
        1,
        [generation(1, 0, None, "registered")],
        {1: [Mark("entry -1", NOW - 1, "refused", why="invalid_credentials")]},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.told)
def test_the_generations_of_a_life(life: Life) -> None:
    found = generations(reversed(life.entries), life.current)
    marks = {each.number: each.marks for each in found if each.marks}
    assert marks == life.marks
    for each in found:
        each.marks.clear()
    assert found == life.expected
