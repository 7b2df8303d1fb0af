"""`Agent` and `AsyncAgent`: an agent, by its credentials file."""

from os import PathLike
from pathlib import Path

from keyturn.client.credentials import Sealed
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import arun, run
from keyturn.client.operations import Operations, Status
from keyturn.client.rotation import PATIENCE


class Agent:
    """One agent, by its credentials file at `path`.

    Each method first finishes a rotation or registration that was interrupted, and may be called
    again after any failure. `patience` is the seconds for which it goes on trying while the
    server, or another process that uses the file, is in the way.

    Every method raises a ClientError for what it can't do: CredentialsFileError, TryAgain,
    CredentialsRefused, NeedsDeveloper, Limited, NotKeyturn, InvalidInput.
    """

    def __init__(self, path: str | PathLike[str], *, patience: float = PATIENCE) -> None:
        self._operations = Operations(CredentialsFile(Path(path)), patience)

    def register(
        self,
        url: str,
        *,
        name: str | None = None,
        enrolment_token: str | None = None,
        allow_http: bool = False,
    ) -> Status:
        """Register at the Keyturn server at `url`, and keep the credentials in the file.

        `allow_http` lets them cross a network readable; loopback needs no permission.

        Raises:
            AlreadyRegistered: the file has an agent.
        """
        token = None if enrolment_token is None else Sealed(enrolment_token)
        # A traceback must not show it.
        del enrolment_token
        return run(self._operations.register(url, name, token, allow_http))

    def rotate(self) -> Status:
        """Change both credentials, unless another process does so meanwhile."""
        return run(self._operations.rotate())

    def status(self) -> Status:
        """What the file and the server say. Without the server, what the file says."""
        return run(self._operations.status())

    def revoke(self) -> Status:
        """Revoke the agent: its credentials die, and only a developer can reinstate it."""
        return run(self._operations.revoke())


class AsyncAgent:
    """`Agent` for asynchronous programs. Each call can be cancelled, and nothing is lost."""

    def __init__(self, path: str | PathLike[str], *, patience: float = PATIENCE) -> None:
        self._operations = Operations(CredentialsFile(Path(path)), patience)

    async def register(
        self,
        url: str,
        *,
        name: str | None = None,
        enrolment_token: str | None = None,
        allow_http: bool = False,
    ) -> Status:
        """As `Agent.register`."""
        token = None if enrolment_token is None else Sealed(enrolment_token)
        del enrolment_token
        return await arun(self._operations.register(url, name, token, allow_http))

    async def rotate(self) -> Status:
        """As `Agent.rotate`."""
        return await arun(self._operations.rotate())

    async def status(self) -> Status:
        """As `Agent.status`."""
        return await arun(self._operations.status())

    async def revoke(self) -> Status:
        """As `Agent.revoke`."""
        return await arun(self._operations.revoke())
