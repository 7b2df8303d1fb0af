"""Sliding windows: whether one more attempt is allowed, and what to tell the caller.

Times are milliseconds. What was counted is handed in; taking the attempt is the store's part.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` attempts in any `window_seconds`, for each bucket under `name`."""

    name: str
    quota: int
    window_seconds: int

    @property
    def window(self) -> int:
        """The window in milliseconds."""
        return self.window_seconds * 1000


@dataclass(frozen=True, slots=True)
class Counted:
    """The newest attempts of a bucket within the window, at most as many as the quota."""

    count: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one attempt.

    `remaining` attempts are left after this one, and in `reset_seconds` the oldest counted one
    leaves the window (draft-ietf-httpapi-ratelimit-headers: `r` and `t`).
    """

    limit: Limit
    allowed: bool
    remaining: int
    reset_seconds: int


def judge(limit: Limit, counted: Counted, now: int) -> Verdict:
    """Decide one more attempt at `now`."""
    allowed = counted.count < limit.quota
    oldest = now if counted.oldest is None else counted.oldest
    left = oldest + limit.window - now
    return Verdict(
        limit=limit,
        allowed=allowed,
        remaining=limit.quota - counted.count - 1 if allowed else 0,
        reset_seconds=min(max(-(-left // 1000), 1), limit.window_seconds),
    )
