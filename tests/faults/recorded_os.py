"""Records what Python code does to the files of a folder with the calls of `os`."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from .disk import Naming, Record, Sync, Truncate, Write, found_in

CHANGES = (
    *("open", "write", "pwrite", "truncate", "ftruncate", "close"),
    *("link", "rename", "replace", "remove", "unlink"),
)
SYNCS = ("fsync", "fdatasync")


@contextlib.contextmanager
def recorded_os(record: Record) -> Iterator[None]:
    """Take down what this process does in the record's folder within the block.

    After each of the calls the folder is looked at. What was changed in another way, as through
    a buffered file, is therefore seen at the next call: nothing comes between that a cut could
    tell apart.
    """
    watcher = _Watcher(record)
    with contextlib.ExitStack() as patched:
        for name in CHANGES:
            patched.enter_context(mock.patch.object(os, name, watcher.changing(getattr(os, name))))
        for name in SYNCS:
            patched.enter_context(mock.patch.object(os, name, watcher.syncing(getattr(os, name))))
        yield
    watcher.look()


class _Watcher:
    """Knows files by their inode, so that it sees what became of one that was renamed."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = threading.RLock()
        self._files = {
            (record.folder / name).stat().st_ino: file for name, file in record.now.names.items()
        }

    def changing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def changes(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            finally:
                self.look()

        return changes

    def syncing(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def syncs(descriptor: Any) -> None:
            self.look()
            begun = len(self._record.operations)
            call(descriptor)
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self._note_sync(os.fstat(number), begun)

        return syncs

    def look(self) -> None:
        """Note what has changed since the last look."""
        with self._lock:
            self._note_names()
            found = found_in(self._record.folder)
            for name, file in self._record.now.names.items():
                self._note_content(file, found[name])

    def _note_names(self) -> None:
        record = self._record
        inodes = {name: (record.folder / name).stat().st_ino for name in found_in(record.folder)}
        for inode in inodes.values():
            if inode not in self._files:
                self._files[inode] = record.new_file()
        meaning = {name: self._files[inode] for name, inode in inodes.items()}
        known = record.now.names
        changed = {name: meaning.get(name) for name in known | meaning}
        changed = {name: file for name, file in changed.items() if known.get(name) != file}
        if changed:
            record.note(Naming(changed))
        # The inode of a file that is gone can come again as another file's.
        self._files = {inode: self._files[inode] for inode in inodes.values()}

    def _note_content(self, file: int, found: bytes) -> None:
        known = self._record.now.content(file)
        if len(found) < len(known):
            self._record.note(Truncate(file, len(found)))
        pairs = enumerate(zip(known, found, strict=False))
        same = next((at for at, (old, new) in pairs if old != new), min(len(known), len(found)))
        if found[same:]:
            self._record.note(Write(file, same, found[same:]))

    def _note_sync(self, synced: os.stat_result, begun: int) -> None:
        folder = self._record.folder.stat()
        if os.path.samestat(synced, folder):
            self._record.note(Sync(None, begun))
        elif synced.st_dev == folder.st_dev and synced.st_ino in self._files:
            self._record.note(Sync(self._files[synced.st_ino], begun))
