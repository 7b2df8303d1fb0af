"""What an agent does with its credentials file, as operations: register, rotate, look, revoke."""

import contextlib
import ipaddress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from keyturn.client import protocol
from keyturn.client.credentials import (
    Holder,
    IdempotencyKey,
    Registration,
    Sealed,
    Stored,
    is_address,
    parse_credential,
)
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Operation, Run
from keyturn.client.errors import (
    AlreadyRegistered,
    ClientError,
    CredentialsRefused,
    InvalidInput,
    Limited,
    NeedsDeveloper,
)
from keyturn.client.rotation import (
    Deadline,
    ask,
    catch_up,
    remember,
    rotate,
    settled,
    under_lock,
)
from keyturn.core.credential import Credential, Kind


@dataclass(frozen=True, slots=True)
class Status:
    """An agent as its credentials file has it, and as the server sees it. Without secrets.

    `key` is the API key's kind and last 4 characters. `unfinished` tells that a rotation may or
    may not have happened; whatever is done next finishes it. `server` is None where the server
    was not asked, or `problem` tells why it did not answer.
    """

    url: str
    agent_id: str
    agent_name: str
    key: str
    key_created_at: datetime
    rotation_due_at: datetime
    unfinished: bool
    server: protocol.ServerView | None = None
    problem: ClientError | None = None


@dataclass(frozen=True, slots=True)
class Operations:
    """Each written once, for `Agent` and `AsyncAgent`; `patience` is in seconds."""

    file: CredentialsFile
    patience: float

    def register(
        self, url: str, name: str | None, enrolment_token: Sealed | None, allow_http: bool
    ) -> Operation[Status]:
        _check_name(name)
        registration = Registration(IdempotencyKey.new(), name, _token(enrolment_token))
        wanted = Stored(server_address(url, allow_http), None, registration)
        deadline = Deadline(self.patience)

        def proceed(found: Stored | None) -> Operation[Stored]:
            if found is not None and found.holder is not None:
                raise AlreadyRegistered(
                    f"The credentials file {self.file.path} has an agent already.",
                    "It is as it was, and nothing was sent.",
                    "Use that agent, or give another path for another one.",
                )
            if found is not None and _asks_the_same(found, wanted):
                return (yield from settled(self.file, found, deadline))
            if found is not None and _may_have_spent_a_token(found):
                with contextlib.suppress(CredentialsRefused, InvalidInput, NeedsDeveloper):
                    return (yield from settled(self.file, found, deadline))
            return (yield from settled(self.file, wanted, deadline))

        yield Run(self.file.make_directory)
        return _status((yield from under_lock(self.file, self.file.read_if_any, deadline, proceed)))

    def rotate(self) -> Operation[Status]:
        return _status((yield from rotate(self.file, Deadline(self.patience))))

    def status(self) -> Operation[Status]:
        deadline = Deadline(self.patience)
        stored: Stored = yield Run(self.file.read)
        try:
            if stored.pending is not None:
                stored = yield from catch_up(self.file, stored, deadline, begin=False)
            return (yield from self._look(stored, deadline))
        except ClientError as error:
            problem = error
        if stored.holder is None:
            raise problem
        return replace(_status(stored), problem=problem)

    def revoke(self) -> Operation[Status]:
        deadline = Deadline(self.patience)

        def proceed(stored: Stored) -> Operation[Stored]:
            # A thief may have brought these about; they must not stand in the way.
            with contextlib.suppress(NeedsDeveloper, Limited):
                stored = yield from settled(self.file, stored, deadline)
            yield from _revoke(stored, deadline)
            return stored

        return _status((yield from under_lock(self.file, self.file.read, deadline, proceed)))

    def _look(self, stored: Stored, deadline: Deadline) -> Operation[Status]:
        holder = _holder(stored)
        request = protocol.self_request(stored.url, holder)
        answer = yield from ask(request, stored.url, protocol.UNCHANGED, deadline)
        if error := protocol.refusal(answer, stored.url, protocol.UNCHANGED):
            raise error
        view = protocol.viewed(answer, holder, datetime.now(UTC))
        if view is None:
            raise protocol.not_keyturn(answer, stored.url, protocol.UNCHANGED)
        seen = replace(stored, holder=protocol.dated(holder, view))
        if seen != stored:
            yield from remember(self.file, seen, deadline)
        return replace(_status(seen), server=view)


def _revoke(stored: Stored, deadline: Deadline) -> Operation[None]:
    request = protocol.revocation_request(stored.url, _holder(stored))
    answer = yield from ask(request, stored.url, protocol.UNCHANGED, deadline)
    if protocol.code_of(answer) == "agent_revoked":
        return
    if error := protocol.refusal(answer, stored.url, protocol.UNCHANGED):
        raise error
    if protocol.json_object(answer).get("status") != "revoked":
        raise protocol.not_keyturn(answer, stored.url, protocol.UNCHANGED)


def _status(stored: Stored) -> Status:
    holder = _holder(stored)
    return Status(
        stored.url,
        holder.agent_id,
        holder.agent_name,
        holder.api_key.masked,
        holder.created_at,
        holder.due_at,
        unfinished=stored.pending is not None,
    )


def _holder(stored: Stored) -> Holder:
    if stored.holder is None:
        raise RuntimeError("A registration that was finished has an agent.")
    return stored.holder


def _asks_the_same(found: Stored, wanted: Stored) -> bool:
    def request(stored: Stored) -> tuple[object, ...]:
        if not isinstance(stored.pending, Registration):
            return ()
        token = stored.pending.enrolment_token
        return stored.url, stored.pending.name, token.reveal() if token else None

    return request(found) == request(wanted)


def _token(given: Sealed | None) -> Credential | None:
    token = parse_credential(given.reveal(), Kind.ENROLMENT_TOKEN) if given else None
    if given and token is None:
        raise InvalidInput(
            "The enrolment token is not one: it is incomplete, or mistyped.",
            "Nothing was changed or sent.",
            "Copy it again from where a developer made it.",
        )
    return token


def _may_have_spent_a_token(found: Stored) -> bool:
    """Whether giving this registration up could lose more than an agent that nobody uses."""
    return isinstance(found.pending, Registration) and found.pending.enrolment_token is not None


def _check_name(name: str | None) -> None:
    if any(0xD800 <= ord(character) < 0xE000 for character in name or ""):
        raise InvalidInput(
            "The name is not Unicode text.",
            "Nothing was changed or sent.",
            "Choose another name.",
        )


def server_address(url: str, allow_http: bool) -> str:
    """The address of a Keyturn server, without a slash at its end.

    Raises:
        InvalidInput: it is none, or is readable on the network and that is not allowed.
    """
    if not is_address(url):
        raise InvalidInput(
            "The server's address is not one like https://keys.example.com.",
            "Nothing was changed or sent.",
            "Correct it.",
        )
    parts = httpx.URL(url)
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.host):
        raise InvalidInput(
            f"Credentials would cross the network to {parts.host} readable: it is not https.",
            "Nothing was changed or sent.",
            "Give an https address; or, on a network that you trust, allow http (--allow-http, "
            "allow_http=True).",
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
