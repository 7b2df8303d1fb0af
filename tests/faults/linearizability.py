"""Whether some order explains what was seen: linearizability, decided by search.

It is the algorithm of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's
memory of the places where the search has been ("Testing for Linearizability", 2017).
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Event(Protocol):
    """Something that was asked for: it took effect at one moment between its two times."""

    @property
    def called(self) -> float: ...

    @property
    def returned(self) -> float | None:
        """When its answer came. None where none came: it may happen at any later time, or never."""


SomeEvent = TypeVar("SomeEvent", bound=Event)
State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True)
class Order(Generic[SomeEvent, State]):
    """The longest order of events that explains their answers, and the state after it.

    `stuck` are those of which one had to come next, and none can; empty where all is explained.
    """

    events: list[SomeEvent]
    state: State
    stuck: list[SomeEvent]
    looked_at: int
    """How many places the search has seen."""


def longest_order(
    history: Iterable[SomeEvent],
    start: State,
    following: Callable[[State, SomeEvent], Iterable[State]],
) -> Order[SomeEvent, State]:
    """Search for an order; `following` tells the states after an event with just its answer.

    No state follows where the event can't have had that answer.
    """
    events = sorted(history, key=lambda event: event.called)
    answered = sum(1 << at for at, event in enumerate(events) if event.returned is not None)
    best = (0, start)
    came_from: dict[tuple[int, State], tuple[tuple[int, State], int] | None] = {best: None}
    waiting = [best]
    while waiting and best[0] & answered != answered:
        place = waiting.pop()
        for at in _next(events, place[0]):
            for state in following(place[1], events[at]):
                after = (place[0] | 1 << at, state)
                # Where nobody knows whether it happened, it need not where it changes nothing.
                idle = state == place[1] and events[at].returned is None
                if not idle and after not in came_from:
                    came_from[after] = place, at
                    waiting.append(after)
                    best = max(best, after, key=lambda it: (it[0] & answered).bit_count())
    order: list[SomeEvent] = []
    step = came_from[best]
    while step is not None:
        order.append(events[step[1]])
        step = came_from[step[0]]
    left = [events[at] for at in _next(events, best[0])]
    stuck = [event for event in left if event.returned is not None]
    return Order(order[::-1], best[1], stuck, len(came_from))


def _next(events: Sequence[Event], done: int) -> list[int]:
    """What may come next: what was called before any that is left had returned.

    Who returned first is the last, which is where the search goes on.
    """
    horizon, found = math.inf, []
    for at, event in enumerate(events):
        if event.called > horizon:
            break
        if not done >> at & 1:
            returned = math.inf if event.returned is None else event.returned
            horizon = min(horizon, returned)
            found.append((returned, at))
    return [at for _, at in sorted(found, reverse=True)]
