"""The fence: how far everything has come whose older states must not come back.

It is a journal beside the database. Whatever retires a credential adds a mark, and marks only
grow; a database that is behind one has been put back to an older state. A line holds what was
committed together, so only the last line can be torn, and nobody was told of what it holds. Each
line's checksum goes on from that of the line before: none can be missing from between.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, cast

from keyturn.core.agent import AgentStatus

Kind = Literal["agent", "token", "developer"]


class DamagedFence(Exception):
    """What is read is no fence, or damaged; the message says what and where."""


class Subject(NamedTuple):
    """What a mark is about."""

    kind: Kind
    id: str


class Mark(NamedTuple):
    """How far it has come: the greater mark is the later one.

    `ended` is deleted or disabled. `number` is an agent's generation or how often a token was
    used; `standing` is what has become of the agent since that generation began.
    """

    ended: bool
    number: int = 0
    standing: int = 0


class Position(NamedTuple):
    """The end of what was read: in bytes, and the checksum that the next line goes on from."""

    length: int
    checksum: int


Record = tuple[Subject, Mark]
Marks = dict[Subject, Mark]

ENDED = Mark(ended=True)
STANDINGS: tuple[AgentStatus, ...] = ("active", "quarantined", "revoked")
_FRESH = {"agent": Mark(ended=False, number=1), "token": Mark(ended=False)}
_START = Position(0, 0)
_HEADER = re.compile(rb"keyturn fence 1 ([0-9a-f]{32})")
_RECORD = re.compile(rb"(agent|token|developer) ([0-9a-f-]{36}) ([01]) (\d{1,18}) ([0-2])")


def agent_record(agent_id: str, generation: int, status: AgentStatus) -> Record:
    """That an agent has come to this generation, and what has become of it since."""
    return Subject("agent", agent_id), Mark(False, generation, STANDINGS.index(status))


def token_record(token_id: str, uses: int) -> Record:
    """That a token was used so often."""
    return Subject("token", token_id), Mark(ended=False, number=uses)


def end_record(kind: Kind, identifier: str) -> Record:
    """That it was deleted or disabled, which is for ever."""
    return Subject(kind, identifier), ENDED


def collect(records: Iterable[Record]) -> Marks:
    """The greatest mark of each."""
    marks: Marks = {}
    for subject, mark in records:
        marks[subject] = max(mark, marks.get(subject, mark))
    return marks


def behind(fenced: Mapping[Subject, Mark], kept: Mapping[Subject, Mark]) -> Marks:
    """The marks that what is kept has not come to. What is not kept at all can't be used."""
    return {
        subject: mark
        for subject, mark in fenced.items()
        if subject in kept and kept[subject] < mark
    }


def ahead(fenced: Mapping[Subject, Mark], kept: Mapping[Subject, Mark]) -> list[Record]:
    """What is kept and not marked: a crash came between, or the fence is new."""
    return [
        (subject, mark)
        for subject, mark in kept.items()
        if mark > fenced.get(subject, _FRESH.get(subject.kind, Mark(ended=False)))
    ]


def write_header(installation: str) -> tuple[bytes, Position]:
    """The first line: whose fence this is."""
    return _line(f"keyturn fence 1 {installation}".encode(), _START)


def read_header(content: bytes) -> tuple[str, Position]:
    """Whose fence this is, and where its marks begin.

    Raises:
        DamagedFence
    """
    line, newline, _ = content.partition(b"\n")
    body, end = _verified(line, _START)
    header = _HEADER.fullmatch(body)
    if not newline or header is None:
        raise DamagedFence("it does not begin as a fence does")
    return header[1].decode(), end


def write_records(records: Iterable[Record], start: Position) -> tuple[bytes, Position]:
    """One line for records that belong together, to be added at `start`; the end afterwards."""
    texts = (
        f"{kind} {identifier} {mark.ended:d} {mark.number} {mark.standing}"
        for (kind, identifier), mark in records
    )
    return _line(";".join(texts).encode(), start)


def read_records(content: bytes, start: Position) -> tuple[list[Record], Position]:
    """The records from `start` on, where `content` begins. A last line that is torn is left out.

    Raises:
        DamagedFence: a line before the last is not as it was written.
    """
    *lines, rest = content.split(b"\n")
    records: list[Record] = []
    end = start
    for number, line in enumerate(lines, 1):
        try:
            body, after = _verified(line, end)
        except DamagedFence:
            if number == len(lines) and not rest:
                break
            raise
        records += [_record(text) for text in body.split(b";") if text]
        end = after
    return records, end


def _line(body: bytes, start: Position) -> tuple[bytes, Position]:
    checksum = zlib.crc32(body, start.checksum)
    line = b"%b %08x\n" % (body, checksum)
    return line, Position(start.length + len(line), checksum)


def _verified(line: bytes, start: Position) -> tuple[bytes, Position]:
    body = line[:-9]
    written, end = _line(body, start)
    if written != line + b"\n":
        raise DamagedFence(f"it is damaged at byte {start.length}")
    return body, end


def _record(text: bytes) -> Record:
    found = _RECORD.fullmatch(text)
    if found is None:
        raise DamagedFence("it has a record of another version")
    kind, identifier, ended, number, standing = (part.decode() for part in found.groups())
    return Subject(cast(Kind, kind), identifier), Mark(ended == "1", int(number), int(standing))
