"""The credentials file: one agent's secrets on disk, for one user, shared by many processes.

It is replaced as a whole (temporary file, fsync, rename, fsync of the directory), by whoever
holds its lock. What can't be read with certainty is refused, and left as it is.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

from keyturn.client.credentials import Stored, decode, encode
from keyturn.client.errors import CredentialsFileError, NoCredentialsFile

MAX_SIZE = 64 * 1024

Signature = tuple[int, int, int, int]
"""What changes whenever the file is replaced or edited."""

_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


class CredentialsFile:
    """The file at `path`. Every method blocks; write only while holding `lock()`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def read(self) -> Stored:
        """What the file holds, certain to outlive a power cut.

        Raises:
            NoCredentialsFile: there is none.
            CredentialsFileError: it is damaged, foreign, or open to other users.
        """
        found = self._load()
        if found is None:
            raise NoCredentialsFile(
                f"There is no credentials file at {self.path}.",
                "Nothing was changed or sent.",
                "Register the agent (keyturn agent register), or give the file's path.",
            )
        if isinstance(found, str):
            raise CredentialsFileError(
                f"The credentials file {self.path} {found}.",
                "Nothing was changed or sent, and the file is as it was.",
                "Put that right, or restore the file from where it was last good.",
            )
        return found

    def read_if_any(self) -> Stored | None:
        """As `read`, and None where there is no file."""
        try:
            return self.read()
        except NoCredentialsFile:
            return None

    def write(self, stored: Stored) -> None:
        """Replace the file's content; on return it will outlive a power cut.

        Raises:
            CredentialsFileError: it did not succeed. The file holds what it held, or the new.
        """
        reason = self._replace(stored)
        if reason:
            raise CredentialsFileError(
                f"The credentials file {self.path} can't be written: {reason}.",
                "Nothing was sent, and the credentials in the file are as they were.",
                "Make room or give access, then run it again.",
            )

    def signature(self) -> Signature | None:
        """Changes whenever the file does; None where it can't be looked at."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns

    def make_directory(self) -> None:
        """Make the directory that the file is in, for its user only.

        Raises:
            CredentialsFileError: it can't be made.
        """
        missing = [folder for folder in self.path.parents if not folder.exists()]
        try:
            for folder in reversed(missing):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
                _sync_directory(folder.parent)
        except OSError as error:
            raise CredentialsFileError(
                f"The directory {self.path.parent} can't be made: {error.strerror}.",
                "Nothing was changed or sent.",
                "Make it, or give another path.",
            ) from None

    def lock(self) -> "FileLock":
        return FileLock(self.path.with_name(self.path.name + ".lock"))

    def _load(self) -> Stored | str | None:
        try:
            # Non-blocking, so that a pipe in the file's place does not stop us for ever.
            opened = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
            try:
                if refusal := _refusal(os.fstat(opened)):
                    return refusal
                # A process that was killed between rename and fsync may have left a name that
                # a power cut takes back. The new key must not be used before that is excluded.
                _sync_directory(self.path.parent)
                return decode(_read_all(opened))
            finally:
                os.close(opened)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return "is a symbolic link: give the path of the file itself"
            return f"can't be read: {error.strerror}"

    def _replace(self, stored: Stored) -> str | None:
        """Why it failed, as a value: the traceback of an exception would show the secrets."""
        folder, name = self.path.parent, self.path.name
        temporary = folder / f".{name}.{secrets.token_hex(8)}.tmp"
        try:
            self._remove_leftovers()
            opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
            try:
                _write_all(opened, encode(stored))
                os.fsync(opened)
            finally:
                os.close(opened)
            os.rename(temporary, self.path)
            _sync_directory(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return error.strerror or type(error).__name__
        return None

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of processes that were killed: nobody else is writing."""
        for name in os.listdir(self.path.parent):
            if name.startswith(f".{self.path.name}.") and name.endswith(".tmp"):
                os.unlink(self.path.parent / name)


class FileLock:
    """An advisory lock over processes and threads, let go of when its process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it.

        Raises:
            CredentialsFileError: the lock's file can't be made or opened.
        """
        try:
            opened = os.open(self.path, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Somebody may have removed the file meanwhile; others would lock a new one.
                if os.path.samestat(os.fstat(opened), os.stat(self.path)):
                    self._opened = opened
            finally:
                if self._opened != opened:
                    os.close(opened)
        except (BlockingIOError, FileNotFoundError):
            return False
        except OSError as error:
            raise CredentialsFileError(
                f"The lock {self.path} can't be taken: {error.strerror}.",
                "Nothing was changed or sent.",
                "Let this user write to that directory, then run it again.",
            ) from None
        return self._opened is not None

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        opened, self._opened = self._opened, None
        if opened is not None:
            # Closing would do, but for a copy that a forked child has.
            with contextlib.suppress(OSError):
                fcntl.flock(opened, fcntl.LOCK_UN)
            # A close that fails has closed all the same, and what was done stays done.
            with contextlib.suppress(OSError):
                os.close(opened)


def _refusal(found: os.stat_result) -> str | None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if mode & 0o077:
        return (
            f"is open to other users (mode {mode:04o}): its secrets may have been read. "
            "If they were not, chmod 600 it; otherwise rotate at once after that"
        )
    if found.st_size > MAX_SIZE:
        return "is too large for a credentials file"
    return None


def _read_all(opened: int) -> bytes:
    text = b""
    while chunk := os.read(opened, MAX_SIZE):
        text += chunk
    return text


def _write_all(opened: int, text: bytes) -> None:
    while text:
        text = text[os.write(opened, text) :]


def _sync_directory(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
