"""How old an API key is against the period in which it is to be rotated."""

from typing import Literal

KeyAge = Literal["fresh", "due", "overdue"]
DUE_FROM = 0.8
"""The part of the period after which a rotation is due."""


def key_age(fraction: float) -> KeyAge:
    """What people call a key that is so far through its period."""
    if fraction > 1:
        return "overdue"
    return "due" if fraction >= DUE_FROM else "fresh"


def period_gone(created_at: int, due_at: int, now: int) -> float:
    """The part of the period that is over: above 1 where the key is overdue."""
    return max(now - created_at, 0) / (due_at - created_at)
