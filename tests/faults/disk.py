"""What a power cut may leave of a folder, worked out from a record of what was done to it.

What was synced before the cut is there. Of all else any part may be: a write whole, in some of
its sectors, or only as growth of its file; a name as it was or as it became. So a file that was
synced can still be missing, where its folder was not.
"""

import itertools
import random
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
SHARED_MEMORY = "-shm"
"""How files end that no power cut leaves: SQLite makes them anew from the others."""

Image = dict[str, bytes]
"""Files by name, as they are found after a power cut."""


@dataclass(frozen=True)
class Write:
    """Bytes in a place of a file. Before the place it is filled with zeros, if it was shorter."""

    file: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True)
class Naming:
    """Names that come to mean another file, or none, in one step: to rename changes two."""

    names: dict[str, int | None]


@dataclass(frozen=True)
class Sync:
    """What was done to a file (or to the names: None) before the operation `begun` is durable."""

    file: int | None
    begun: int


@dataclass(frozen=True)
class Acknowledged:
    """Somebody was told that something is done."""

    what: Any


Change = Write | Truncate | Naming
Operation = Change | Sync | Acknowledged


class Files:
    """The files of a folder. A file is a number; it may have any names or none."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._contents: dict[int, bytearray] = {}

    def apply(self, change: Change) -> None:
        match change:
            case Write(file, offset, data):
                content = self._contents.setdefault(file, bytearray())
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
            case Truncate(file, size):
                content = self._contents.setdefault(file, bytearray())
                content.extend(bytes(max(0, size - len(content))))
                del content[size:]
            case Naming(names):
                merged = {**self.names, **names}
                self.names = {name: file for name, file in merged.items() if file is not None}

    def content(self, file: int) -> bytes:
        return bytes(self._contents.get(file, b""))

    def with_changes(self, changes: Sequence[Change]) -> "Files":
        """These files after the changes; they themselves stay as they are."""
        changed = Files()
        changed.names = self.names
        changed._contents = {file: content.copy() for file, content in self._contents.items()}
        for change in changes:
            changed.apply(change)
        return changed

    def image(self) -> Image:
        return {name: self.content(file) for name, file in self.names.items()}


class Record:
    """Takes down what is done to a folder, from any thread; what it holds at first is durable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operations: list[Operation] = []
        self.now = Files()
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        for name, content in found_in(folder).items():
            file = self.opened(name)
            self.note(Write(file, 0, content))
            self.note(Sync(file, len(self.operations)))
        self.note(Sync(None, len(self.operations)))
        self._start = len(self.operations)

    @property
    def moments(self) -> range:
        """Every moment for a cut, as a number of operations, since the record was begun."""
        return range(self._start, len(self.operations) + 1)

    def opened(self, name: str) -> int:
        """The file of this name, which was made just now if it was not known before."""
        with self._lock:
            if name not in self.now.names:
                self.note(Naming({name: self.new_file()}))
            return self.now.names[name]

    def new_file(self) -> int:
        """A number for a file that has no name yet."""
        return next(self._numbers)

    def note(self, operation: Operation) -> None:
        """Take down what has just been done."""
        with self._lock:
            if isinstance(operation, Change):
                self.now.apply(operation)
            self.operations.append(operation)

    def acknowledge(self, what: object) -> None:
        """Take down that somebody is told that this is done: no power cut may undo it."""
        self.note(Acknowledged(what))

    def check(self) -> None:
        """Make sure that nothing was done to the folder unseen.

        Raises:
            AssertionError: the record does not explain what is there.
        """
        there, recorded = found_in(self.folder), self.now.image()
        unexplained = sorted(
            name for name in there.keys() | recorded if there.get(name) != recorded.get(name)
        )
        if unexplained:
            raise AssertionError(f"the record does not explain {', '.join(unexplained)}")


class Disk:
    """What is on a disk for sure after the operations so far, and what may be."""

    def __init__(self) -> None:
        self._durable = Files()
        self._pending: list[tuple[int, Change]] = []
        self._count = 0

    def take(self, operation: Operation) -> None:
        """Go on by one operation of the record."""
        if isinstance(operation, Sync):
            unsynced = []
            for number, change in self._pending:
                if number < operation.begun and _belongs_to(change) == operation.file:
                    self._durable.apply(change)
                else:
                    unsynced.append((number, change))
            self._pending = unsynced
        elif isinstance(operation, Change):
            self._pending.append((self._count, operation))
        self._count += 1

    def images(self, choice: random.Random, samples: int) -> Iterator[Image]:
        """What a cut at this moment may leave.

        Of all that is not synced it is: everything, nothing, each change alone, everything but
        that one, and `samples` times any parts of any changes.
        """
        pending = [change for _, change in self._pending]
        yield self._durable.with_changes(pending).image()
        yield self._durable.image()
        for number, change in enumerate(pending):
            yield self._durable.with_changes([change]).image()
            yield self._durable.with_changes(pending[:number] + pending[number + 1 :]).image()
        for _ in range(samples if pending else 0):
            parts = [part for change in pending for part in _remains(change, choice)]
            yield self._durable.with_changes(parts).image()


@dataclass(frozen=True)
class Cut:
    """One thing that a power cut after so many operations may leave, and what was told before."""

    moment: int
    acknowledged: list[Any]
    image: Image


def power_cuts(
    operations: Sequence[Operation], moments: Collection[int], choice: random.Random, samples: int
) -> Iterator[Cut]:
    """Everything to be considered for cuts at these moments: see `Disk.images`.

    An image can come many times, not always after the same acknowledgements.
    """
    disk = Disk()
    acknowledged: list[Any] = []
    for moment in range(len(operations) + 1):
        if moment in moments:
            for image in disk.images(choice, samples):
                yield Cut(moment, acknowledged, image)
        if moment < len(operations):
            operation = operations[moment]
            disk.take(operation)
            if isinstance(operation, Acknowledged):
                acknowledged = [*acknowledged, operation.what]


def found_in(folder: Path) -> Image:
    """The files of a real folder."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith(SHARED_MEMORY)
    }


def lay_out(image: Image, folder: Path) -> None:
    """Make an image's files, private as they were, in a folder that has none."""
    for name, content in image.items():
        path = folder / name
        path.touch(0o600)
        path.write_bytes(content)


def _belongs_to(change: Change) -> int | None:
    return None if isinstance(change, Naming) else change.file


def _remains(change: Change, choice: random.Random) -> list[Change]:
    """What may be left of one change that was not synced."""
    kinds = ["all", "all", "nothing", "nothing"]
    if isinstance(change, Write):
        kinds += ["growth", "sectors"]
    match choice.choice(kinds):
        case "all":
            return [change]
        case "growth" if isinstance(change, Write):
            return [Write(change.file, change.offset + len(change.data), b"")]
        case "sectors" if isinstance(change, Write):
            return [sector for sector in _sectors(change) if choice.random() < 0.5]
    return []


def _sectors(write: Write) -> list[Change]:
    end = write.offset + len(write.data)
    borders = [write.offset, *range(write.offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
    return [
        Write(write.file, begin, write.data[begin - write.offset : until - write.offset])
        for begin, until in itertools.pairwise(borders)
    ]
