"""What is kept of a developer's, service's or enrolment token."""

from typing import NamedTuple

from keyturn.core.credential import Kind


class Token(NamedTuple):
    """A token as it is kept, with the state of its developer.

    `developer_id` is None where the command line made it for the whole installation, and
    `created_by` where no developer's request made it.
    """

    seq: int
    id: str
    kind: Kind
    developer_id: str | None
    name: str
    mac: bytes
    server_key: str
    last4: str
    created_at: int
    last_used_at: int | None
    expires_at: int | None
    max_uses: int | None
    uses: int
    created_by: str | None
    operator: bool | None
    developer_status: str | None

    def is_live(self, now: int) -> bool:
        """Whether whoever holds it may use it: not expired, its developer not disabled."""
        expired = self.expires_at is not None and self.expires_at <= now
        return not expired and self.developer_status in (None, "active")

    def sees(self, developer_id: str) -> bool:
        """Whether a service with this token is told of that developer's agents."""
        return bool(self.operator) or self.developer_id in (None, developer_id)

    @property
    def used_up(self) -> bool:
        return self.max_uses is not None and self.uses >= self.max_uses
