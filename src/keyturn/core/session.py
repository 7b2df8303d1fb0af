"""What is kept of a developer's session in a browser."""

from typing import NamedTuple

MAX_AGE = 7 * 86_400_000
"""Milliseconds after which a session ends, however much it is used."""
MAX_IDLE = 12 * 3_600_000
RECENT = 10 * 60_000
"""How long ago the password may have been given for what can't be taken back."""


class Session(NamedTuple):
    """A session as it is kept, with the state of its developer."""

    id: str
    developer_id: str
    email: str
    operator: bool
    developer_status: str
    server_key: str
    created_at: int
    last_used_at: int | None
    expires_at: int
    address: str | None
    user_agent: str | None
    authenticated_at: int

    @property
    def last_seen_at(self) -> int:
        return self.last_used_at or self.created_at

    def is_live(self, now: int) -> bool:
        """Whether it is accepted: used lately, not too old, its developer not disabled."""
        idle = now - self.last_seen_at >= MAX_IDLE
        return now < self.expires_at and not idle and self.developer_status == "active"

    def is_recent(self, now: int) -> bool:
        """Whether the password was given within the last minutes."""
        return 0 <= now - self.authenticated_at < RECENT
