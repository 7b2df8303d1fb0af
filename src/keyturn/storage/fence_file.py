"""The fence's file. Several processes add to it: who holds its lock may, after what others added.

The lock is held until what was added is durable, so that no more than the last line is ever not.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from keyturn.core.fence import (
    DamagedFence,
    Marks,
    Position,
    Record,
    collect,
    read_header,
    read_records,
    write_header,
    write_records,
)
from keyturn.storage.durable import sync_directory

RECORDS_A_LINE = 64
SPARED = 10_000
"""Records that may be more than twice the marks before the file is written anew."""


class FenceFile:
    """A fence at its path. All methods raise `DamagedFence` and `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._installation = ""
        self._descriptor: int | None = None
        self._end: Position | None = None

    def exists(self) -> bool:
        return self.path.exists()

    def create(self, installation: str) -> None:
        """Make it, empty and durable; another process may do the same at once."""
        self._installation = installation
        with self._written_beside({}) as temporary:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, self.path)
            temporary.unlink()
            sync_directory(self.path.absolute().parent)

    def read(self, installation: str) -> Marks:
        """The greatest mark of each; the file is written anew where most of it is older ones.

        It must be this installation's.
        """
        self._installation = installation
        with self._locked() as descriptor:
            self._end = None
            records = self._read_added(descriptor)
            marks = collect(records)
            if len(records) > 2 * len(marks) + SPARED:
                with self._written_beside(marks) as temporary:
                    temporary.rename(self.path)
                    sync_directory(self.path.absolute().parent)
        return marks

    def append(self, records: Iterable[Record]) -> None:
        """Add what was committed together; it is durable afterwards."""
        with self._locked() as descriptor:
            self._read_added(descriptor)
            start = self._end or Position(0, 0)
            line, end = write_records(records, start)
            _write(descriptor, line, start.length)
            os.fsync(descriptor)
            self._end = end

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._end = None, None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        while True:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # It may have been written anew while this process waited.
            if os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
                break
            self.close()
        try:
            yield self._descriptor
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _read_added(self, descriptor: int) -> list[Record]:
        """What was added since this process last looked; a torn line is cut off."""
        size = os.fstat(descriptor).st_size
        if self._end is None:
            content = _read(descriptor, size, 0)
            installation, start = read_header(content)
            if installation != self._installation:
                raise DamagedFence("it is another installation's")
            content = content[start.length :]
        else:
            start = self._end
            if size < start.length:
                raise DamagedFence("it has become shorter")
            content = _read(descriptor, size - start.length, start.length)
        records, self._end = read_records(content, start)
        if self._end.length < size:
            os.ftruncate(descriptor, self._end.length)
            os.fsync(descriptor)  # Else another crash could mix it with what comes next.
        return records

    @contextlib.contextmanager
    def _written_beside(self, marks: Marks) -> Iterator[Path]:
        """A whole fence in another file, durable. The last line, which may be cut, is empty.

        It is locked: nobody adds to it before the name that it gets is durable too.
        """
        header, end = write_header(self._installation)
        records = list(marks.items())
        lines = [header]
        parts = (records[at : at + RECORDS_A_LINE] for at in range(0, len(records), RECORDS_A_LINE))
        for part in (*parts, []):
            line, end = write_records(part, end)
            lines.append(line)
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _write(descriptor, b"".join(lines), 0)
            os.fsync(descriptor)
            yield temporary
        finally:
            os.close(descriptor)


def _read(descriptor: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written
