"""What can go wrong on the agent's side: one class for each thing that a caller can do about it.

Every error says what is wrong, what is safe, and what to do next; none holds a secret.
"""

from typing import ClassVar


class ClientError(Exception):
    """A failure as three sentences for a person, and a stable `code` for a program."""

    code: ClassVar[str]

    def __init__(self, wrong: str, safe: str, next_step: str) -> None:
        super().__init__(wrong, safe, next_step)
        self.wrong = wrong
        self.safe = safe
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.wrong} {self.safe} {self.next_step}"


class CredentialsFileError(ClientError):
    """The credentials file can't be read, trusted, locked or written."""

    code = "credentials_file"


class NoCredentialsFile(CredentialsFileError):
    """There is none yet: the agent has not registered."""


class AlreadyRegistered(CredentialsFileError):
    """The credentials file has an agent already, and is never overwritten."""


class InvalidInput(ClientError):
    """What the caller gave can't be used: an address, a name, an enrolment token's shape."""

    code = "invalid_input"


class TryAgain(ClientError):
    """The server can't be reached or does not answer, or another process is at work."""

    code = "try_again"


class CredentialsRefused(ClientError):
    """The server says that the credentials, or the enrolment token, are not valid."""

    code = "credentials_refused"


class NeedsDeveloper(ClientError):
    """Only a developer can help: revoked, quarantined, no rotation secret, closed registration."""

    code = "needs_developer"


class Limited(ClientError):
    """Too many attempts from this address; `retry_after` is in seconds."""

    code = "limited"

    def __init__(self, wrong: str, safe: str, next_step: str, retry_after: float) -> None:
        super().__init__(wrong, safe, next_step)
        self.retry_after = retry_after


class NotKeyturn(ClientError):
    """The address answers, but not as Keyturn does."""

    code = "not_keyturn"
