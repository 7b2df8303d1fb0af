"""Drives an operation by hand: what it asks for is kept, and what it gets is a value."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from keyturn.client.credentials import Holder, Stored, encode, parse_credential
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Effect, Operation, Run, Send, Wait
from keyturn.client.rotation import Deadline, rotate
from keyturn.core.credential import Kind
from tests.client.fake import FakeKeyturn

Result = TypeVar("Result")
URL = "https://keys.example.com"


@dataclass
class Stage:
    """A clock, a server, and everything that an operation did, in order."""

    fake: FakeKeyturn = field(default_factory=FakeKeyturn)
    seconds: float = 0.0
    effects: list[Effect] = field(default_factory=list)
    before_each: Callable[[Effect], None] = lambda _: None

    def clock(self) -> float:
        return self.seconds

    def play(self, operation: Operation[Result]) -> Result:
        result: object = None
        error: BaseException | None = None
        while True:
            try:
                effect = operation.send(result) if error is None else operation.throw(error)
            except StopIteration as done:
                value: Result = done.value
                return value
            result = error = None
            self.effects.append(effect)
            try:
                self.before_each(effect)
                result = self._perform(effect)
            except BaseException as raised:
                error = raised

    def sent(self) -> list[str]:
        return [
            effect.request.url.path.rpartition("/")[2]
            for effect in self.effects
            if isinstance(effect, Send)
        ]

    def waited(self) -> float:
        return sum(effect.seconds for effect in self.effects if isinstance(effect, Wait))

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Send(request):
                return self.fake.answer(request)
            case Wait(seconds):
                self.seconds += seconds
                return None
            case Run(call):
                return call()


def stored_of(fake: FakeKeyturn, url: str = URL, *, age: timedelta = timedelta(0)) -> Stored:
    """The agent as its credentials file should have it, with a key of that age."""
    api_key = parse_credential(fake.key, Kind.API_KEY)
    secret = parse_credential(fake.secret, Kind.ROTATION_SECRET)
    assert api_key and secret
    created_at = datetime.now(UTC).replace(microsecond=0) - age
    due_at = created_at + timedelta(days=7)
    return Stored(url, Holder(fake.agent_id, "agent", api_key, secret, created_at, due_at), None)


def file_of(folder: Path, stored: Stored) -> CredentialsFile:
    """A credentials file with that in it."""
    path = folder / "agent.json"
    path.touch(0o600)
    path.write_bytes(encode(stored))
    return CredentialsFile(path)


def knows_the_pair(file: CredentialsFile, fake: FakeKeyturn) -> bool:
    """Whether the file has the pair that is valid now."""
    holder = file.read().holder
    return holder is not None and (
        holder.api_key.reveal(),
        holder.rotation_secret.reveal(),
    ) == (fake.key, fake.secret)


def rotation(stage: Stage, file: CredentialsFile, seconds: float = 60) -> Operation[Stored]:
    return rotate(file, Deadline(seconds, stage.clock))


def pending_key(file: CredentialsFile) -> str | None:
    pending = file.read().pending
    return pending.idempotency_key.reveal() if pending else None
