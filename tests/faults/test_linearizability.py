"""The checker of histories: it accepts what an order explains, and nothing else."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .agent_model import (
    ANOTHERS,
    ISSUING,
    READING,
    Agent,
    Kind,
    Operation,
    explain,
    following,
    outcomes,
    told,
)

OVERLAP = 3.0
"""How long before or after its moment an operation is called and returns."""


def life(choice: random.Random, length: int) -> list[Operation]:
    """What clients may see of requests that take effect one by one, a second apart."""
    history: list[Operation] = []
    agent, made = Agent(), 1
    for moment in range(1, length + 1):
        made += 1
        called, returned = (moment + sign * choice.uniform(0, OVERLAP) for sign in (-1, 1))
        asked = replace(request(choice, agent), called=called, returned=returned, made=made)
        status, after = choice.choice(list(outcomes(agent, asked)))
        again = status == 200 and asked.kind in ISSUING
        seen = replace(asked, status=status, made=after.pair if again else made)
        if asked.kind is Kind.LOOK:
            seen = replace(seen, generation=agent.generation)
        fate = choice.random()
        if fate < 0.05:
            # Nobody was told, and it has happened: it has a number that nobody has seen, too.
            seen = replace(seen, returned=None)
        elif fate < 0.1:
            # Nobody was told, and it has not happened.
            history.append(replace(asked, returned=None, made=1000 + made))
            continue
        history.append(seen)
        agent = after
    return history


def request(choice: random.Random, agent: Agent) -> Operation:
    kind = choice.choice([*Kind, Kind.ROTATE])
    key = choice.choice([agent.pair, agent.pair, max(agent.pair - 1, 1)])
    receipt = agent.receipt
    if kind is Kind.ROTATE and receipt and choice.random() < 0.5:
        return Operation(kind, 0, 0, receipt.old, receipt.old, receipt.once)
    if kind is Kind.ROTATE:
        secret = choice.choice([key, key, key, 1])
        return Operation(kind, 0, 0, key, secret, choice.choice([None, key]))
    return Operation(kind, 0, 0, key, key if kind is Kind.REVOKE else 0)


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_what_a_sequential_agent_has_answered_is_explained_however_it_overlaps(
    seed: int, length: int
) -> None:
    order = explain(life(random.Random(seed), length))
    assert order.stuck == []
    assert order.looked_at < 20_000


def by_trying_everything(history: list[Operation]) -> bool:
    """The definition itself: some order of some of those without an answer explains it all."""
    doubtful = [it for it in history if it.returned is None]
    answered = [it for it in history if it.returned is not None]
    return any(
        _explains(order)
        for count in range(len(doubtful) + 1)
        for chosen in itertools.combinations(doubtful, count)
        for order in itertools.permutations([*answered, *chosen])
    )


def _explains(order: tuple[Operation, ...]) -> bool:
    for at, later in enumerate(order):
        if any(later.returned is not None and later.returned < it.called for it in order[:at]):
            return False
    agents = {Agent()}
    for each in order:
        agents = {after for agent in agents for after in following(agent, each)}
    return bool(agents)


@st.composite
def anything(draw: st.DrawFn) -> list[Operation]:
    """A few operations with any answers at all."""
    numbers, moments = st.integers(1, 3), st.integers(0, 6)
    operations = []
    for _ in range(draw(st.integers(0, 5))):
        called, kind = draw(moments), draw(st.sampled_from([*Kind, Kind.ROTATE]))
        key = draw(numbers)
        operations.append(
            Operation(
                kind,
                called,
                draw(st.one_of(st.none(), st.integers(called, 7))),
                key,
                draw(st.sampled_from([key, key, 1])),
                draw(st.sampled_from([None, 1])) if kind is Kind.ROTATE else None,
                draw(st.sampled_from([200, 200, 401, 401, 403, 409])),
                draw(st.integers(2, 4)),
            )
        )
    return operations


@given(anything())
def test_it_decides_as_trying_every_order_does(history: list[Operation]) -> None:
    assert (explain(history).stuck == []) == by_trying_everything(history)


Span = tuple[float, float | None]
"""When it was called, and when its answer came; None where none came."""


def rotation(span: Span, pair: int, made: int, **more: Any) -> Operation:
    return replace(Operation(Kind.ROTATE, *span, pair, pair, None, 200, made), **more)


def check(span: Span, key: int, status: int, **more: Any) -> Operation:
    return Operation(Kind.VERIFY, *span, key, status=status, **more)


def other(kind: Kind, span: Span, **more: Any) -> Operation:
    return Operation(kind, *span, status=200, **more)


def looks(span: Span, generation: int, status: int = 200) -> Operation:
    return Operation(Kind.LOOK, *span, status=status, generation=generation)


BAD = {
    "an old key is good once after the rotation's answer": [
        rotation((0, 1), 1, 2), check((2, 3), 1, 200),
    ],
    "a check sees the rotation, and a later one does not, while it is under way": [
        rotation((0, 9), 1, 2), check((1, 2), 1, 401), check((3, 4), 1, 200),
    ],
    "the new key is refused after the rotation's answer": [
        rotation((0, 1), 1, 2), check((2, 3), 2, 401),
    ],
    "two rotations with one pair succeed": [
        rotation((0, 5), 1, 2), rotation((1, 4), 1, 3),
    ],
    "a rotation is refused, and nobody was there before it": [
        rotation((0, 1), 1, 2, status=401),
    ],
    "a rotation is refused, and has happened": [
        rotation((0, 1), 1, 2, status=401), check((2, 3), 1, 401),
    ],
    "a rotation was answered, and is lost": [
        rotation((0, 1), 1, 2), check((2, 3), 2, 200), check((4, 5), 1, 200),
    ],
    "a rotation without an answer happens, and is undone": [
        rotation((0, None), 1, 2), check((1, 2), 1, 401), check((3, 4), 1, 200),
    ],
    "a rotation without an answer happens twice": [
        rotation((0, None), 1, 2), looks((2, 3), 3),
    ],
    "a rotation happens before it was asked for": [
        check((0, 1), 1, 401), rotation((2, 3), 1, 2),
    ],
    "a repeat has another answer": [
        rotation((0, 1), 1, 2, once=1), rotation((2, 3), 1, 3, once=1),
    ],
    "a repeat is refused though the new key was never used": [
        rotation((0, 1), 1, 2, once=1), rotation((2, 3), 1, 3, once=1, status=401),
    ],
    "a repeat has the answer again after it was gone": [
        rotation((0, 1), 1, 2, once=1),
        check((2, 3), 2, 200),
        rotation((4, 5), 1, 3, once=1, status=401),
        rotation((6, 7), 1, 2, once=1),
    ],
    "a repeat is answered with another idempotency key": [
        rotation((0, 1), 1, 2, once=1), rotation((2, 3), 1, 2, once=2),
    ],
    "a repeat is answered after a developer has rotated": [
        rotation((0, 1), 1, 2, once=1),
        other(Kind.ROTATE_BY_DEVELOPER, (2, 3), made=3),
        rotation((4, 5), 1, 2, once=1),
    ],
    "a repeat is answered after a revocation": [
        rotation((0, 1), 1, 2, once=1),
        other(Kind.REVOKE_BY_DEVELOPER, (2, 3)),
        rotation((4, 5), 1, 2, once=1),
    ],
    "a key is good after its agent's revocation": [
        other(Kind.REVOKE_BY_DEVELOPER, (0, 1)), check((2, 3), 1, 200),
    ],
    "a revoked agent rotates": [
        other(Kind.REVOKE, (0, 1), key=1, secret=1), rotation((2, 3), 1, 2),
    ],
    "an agent revokes itself with what was rotated away": [
        rotation((0, 1), 1, 2), other(Kind.REVOKE, (2, 3), key=1, secret=1),
    ],
    "an old secret rotates with the new key": [
        rotation((0, 1), 1, 2), rotation((2, 3), 2, 3, secret=1),
    ],
    "a developer rotates a revoked agent": [
        other(Kind.REVOKE_BY_DEVELOPER, (0, 1)),
        other(Kind.ROTATE_BY_DEVELOPER, (2, 3), made=2),
    ],
    "a reinstatement brings the old key back": [
        other(Kind.REVOKE_BY_DEVELOPER, (0, 1)),
        other(Kind.REINSTATE, (2, 3), made=2),
        check((4, 5), 1, 200),
    ],
    "an active agent is reinstated": [other(Kind.REINSTATE, (0, 1), made=2)],
    "a generation is left out": [rotation((0, 1), 1, 2), check((2, 3), 2, 200, generation=3)],
    "an introspection calls a dead key active": [
        rotation((0, 1), 1, 2), Operation(Kind.INTROSPECT, 2, 3, 1, status=200),
    ],
    "the service fails as it never should": [check((0, 1), 1, 500)],
    "a check tells of another agent": [check((0, 1), 1, ANOTHERS)],
    "an agent looks active after its revocation": [
        other(Kind.REVOKE_BY_DEVELOPER, (0, 1)), looks((2, 3), 1),
    ],
}  # fmt: skip
GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "an old key is good while its rotation is under way": [
        rotation((0, 5), 1, 2), check((1, 2), 1, 200), check((3, 4), 1, 401),
    ],
    "checks that overlap see a rotation in either order": [
        rotation((0, 9), 1, 2), check((1, 4), 1, 401), check((2, 3), 1, 200),
    ],
    "an old key is good at the very moment of the rotation's answer": [
        rotation((0, 1), 1, 2), check((1, 2), 1, 200),
    ],
    "a rotation without an answer happens long after": [
        rotation((0, None), 1, 2), check((1, 2), 1, 200), check((8, 9), 1, 401), looks((10, 11), 2),
    ],
    "a rotation without an answer never happens": [
        rotation((0, None), 1, 2), rotation((5, 6), 1, 3), check((8, 9), 3, 200),
    ],
    "a repeat finds out what became of a rotation": [
        rotation((0, None), 1, 2, once=1), rotation((2, 3), 1, 2, once=1),
    ],
    "a repeat is refused after the first use": [
        rotation((0, 1), 1, 2, once=1),
        check((2, 3), 2, 200),
        rotation((4, 5), 1, 2, once=1),
        rotation((6, 7), 1, 3, once=1, status=401),
    ],
    "a use that had no answer ends a repeat": [
        rotation((0, 1), 1, 2, once=1),
        check((2, None), 2, 0),
        rotation((4, 5), 1, 3, once=1, status=401),
    ],
    "two with one pair, of which one wins": [
        rotation((0, 5), 1, 2), rotation((1, 4), 1, 3, status=401),
    ],
    "a revoked agent is told so, and reinstated": [
        other(Kind.REVOKE, (0, 1), key=1, secret=1),
        check((2, 3), 1, 403),
        rotation((2, 3), 1, 2, status=403),
        Operation(Kind.INTROSPECT, 2, 3, 1, status=401),
        looks((2, 3), 1, 403),
        other(Kind.REINSTATE, (4, 5), made=2),
        check((6, 7), 2, 200, generation=2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_it_refuses(name: str) -> None:
    order = explain(BAD[name])
    assert order.stuck != []
    assert str(order.stuck[0]) in told(order)


@pytest.mark.parametrize("name", GOOD)
def test_it_accepts(name: str) -> None:
    assert explain(GOOD[name]).stuck == []


def test_it_comes_to_an_end_soon_where_much_is_in_doubt() -> None:
    doubtful = [rotation((0, None), 1, 100 + number) for number in range(8)]
    crowd = [check((moment, moment + 1.9), 1, 200) for moment in range(0, 60, 2) for _ in range(6)]
    order = explain([*doubtful, *crowd, check((61, 62), 1, 401), check((63, 64), 1, 200)])
    assert len(order.stuck) == 1
    assert order.looked_at < 100_000


def test_readers_change_nothing_but_the_life_of_a_receipt() -> None:
    for kind in READING:
        for agent in (Agent(), Agent(revoked=True)):
            asked = Operation(kind, 0, None, 1)
            assert [after for _, after in outcomes(agent, asked)] == [agent]
