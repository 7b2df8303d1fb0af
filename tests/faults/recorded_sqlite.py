"""Records what SQLite does to its files, from below: the product's code is as it always is."""

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from .disk import Naming, Record, Sync, Truncate, Write

_OPEN_DIRECTORY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int))


@contextlib.contextmanager
def recorded_sqlite(record: Record) -> Iterator[None]:
    """Take down what connections that are opened within the block do in the record's folder.

    They must be closed within it, too.
    """
    vfs = _Recorder(record)
    try:
        with vfs.folder_syncs_noted():
            yield
    finally:
        vfs.unregister()
    record.check()


class _Recorder(apsw.VFS):
    """The way to the files that SQLite takes by default, and takes down what goes by."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._usual = apsw.vfs_names()[0]
        super().__init__("recorded", self._usual, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not self._holds(path):
            return apsw.VFSFile(self._usual, name, flags)
        file = _RecordedFile(self._usual, name, flags)
        file.record, file.number = self._record, self._record.opened(Path(path).name)
        return file

    def xDelete(self, path: str, syncdir: bool) -> None:  # noqa: N802
        # Noted before, because the sync of the folder that may belong to it comes within.
        if self._holds(path) and Path(path).name in self._record.now.names:
            self._record.note(Naming({Path(path).name: None}))
        super().xDelete(path, syncdir)

    @contextlib.contextmanager
    def folder_syncs_noted(self) -> Iterator[None]:
        """SQLite opens a folder for one purpose: to sync it right away."""
        address = self.xGetSystemCall("openDirectory")
        if address is None:
            raise RuntimeError("This SQLite does not show when it syncs a folder.")
        usual = _OPEN_DIRECTORY(address)

        def open_directory(path: bytes, descriptor: object) -> int:
            begun = len(self._record.operations)
            result: int = usual(path, descriptor)
            if result == apsw.SQLITE_OK and self._holds(path.decode()):
                self._record.note(Sync(None, begun))
            return result

        ours = _OPEN_DIRECTORY(open_directory)
        self.xSetSystemCall("openDirectory", ctypes.cast(ours, ctypes.c_void_p).value or 0)
        try:
            yield
        finally:
            self.xSetSystemCall("openDirectory", address)

    def _holds(self, path: str) -> bool:
        return Path(path).parent == self._record.folder


class _RecordedFile(apsw.VFSFile):
    record: Record
    number: int

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self.record.note(Write(self.number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self.record.note(Truncate(self.number, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        begun = len(self.record.operations)
        super().xSync(flags)
        self.record.note(Sync(self.number, begun))

    def xLock(self, level: int) -> None:  # noqa: N802
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # A reader can't take the lock to tidy up when it closes. SQLite lets that pass, but
            # apsw raises whatever came from a file of ours, except this.
            raise apsw.BusyError from error
