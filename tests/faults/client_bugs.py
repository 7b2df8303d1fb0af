"""Bugs for the client library, each put into the process that is asked for it."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from keyturn.client import credentials_file, protocol, rotation
from keyturn.client.credentials import IdempotencyKey, Rotation, Stored, encode
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Answer, Lost, Operation, Run, Send
from keyturn.client.errors import CredentialsRefused, TryAgain
from keyturn.client.rotation import Deadline

Finish = Callable[..., Operation[Stored]]


def no_sync_of_the_directory() -> None:
    _put(credentials_file, "_sync_directory", lambda _folder: None)


def no_sync_of_the_file() -> None:
    _put(credentials_file, "os", _OsWithoutFileSyncs())


class _OsWithoutFileSyncs:
    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, opened: int) -> None:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            os.fsync(opened)


def written_in_place() -> None:
    def overwrite(self: CredentialsFile, stored: Stored) -> str | None:
        opened = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(opened, encode(stored))
        os.fsync(opened)
        os.close(opened)
        return None

    _put(CredentialsFile, "_replace", overwrite)


def leftovers_stay() -> None:
    _put(CredentialsFile, "_remove_leftovers", lambda _self: None)


def another_idempotency_key_for_each_start() -> None:
    def finish(finish: Finish, _file: CredentialsFile, stored: Stored) -> Operation[Stored]:
        return finish(replace(stored, pending=Rotation(IdempotencyKey.new())))

    _instead_of_finishing(finish)


def sent_before_it_is_written() -> None:
    write = CredentialsFile.write

    def write_what_is_done(self: CredentialsFile, stored: Stored) -> None:
        if stored.pending is None:
            write(self, stored)

    _put(CredentialsFile, "write", write_what_is_done)


def used_before_it_is_saved() -> None:
    keep = rotation._kept

    def use(file: CredentialsFile, stored: Stored) -> Operation[Stored]:
        if stored.holder is not None:
            yield Send(protocol.self_request(stored.url, stored.holder))
        return (yield from keep(file, stored))

    _put(rotation, "_kept", use)


def given_up_on_an_error_of_the_server() -> None:
    ask = rotation.ask

    def ask_once(request: Any, url: str, safe: str, deadline: Deadline) -> Operation[Answer]:
        answer: Answer | Lost = yield Send(request)
        if isinstance(answer, Answer) and answer.status >= 500:
            raise GivenUp("It failed.", safe, "Run it again.")
        return (yield from ask(request, url, safe, deadline))

    def finish(finish: Finish, file: CredentialsFile, stored: Stored) -> Operation[Stored]:
        try:
            return (yield from finish(stored))
        except GivenUp:
            yield Run(lambda: file.write(replace(stored, pending=None)))
            raise

    _put(rotation, "ask", ask_once)
    _instead_of_finishing(finish)


def thrown_away_when_refused() -> None:
    def finish(finish: Finish, file: CredentialsFile, stored: Stored) -> Operation[Stored]:
        try:
            return (yield from finish(stored))
        except CredentialsRefused:
            Path.unlink(file.path)
            raise

    _instead_of_finishing(finish)


class GivenUp(TryAgain):
    pass


def _instead_of_finishing(
    instead: Callable[[Finish, CredentialsFile, Stored], Operation[Stored]],
) -> None:
    """Let `instead` do what finishes a rotation; it is given what did so before."""
    original = rotation._finish_rotation

    def finish(
        file: CredentialsFile, stored: Stored, holder: Any, _pending: Any, deadline: Deadline
    ) -> Operation[Stored]:
        def before(changed: Stored) -> Operation[Stored]:
            if not isinstance(changed.pending, Rotation):
                raise TypeError("Only a rotation is finished here.")
            return original(file, changed, holder, changed.pending, deadline)

        return instead(before, file, stored)

    _put(rotation, "_finish_rotation", finish)


def _put(owner: object, name: str, bug: object) -> None:
    mock.patch.object(owner, name, bug).start()


CLIENT_BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        no_sync_of_the_directory,
        no_sync_of_the_file,
        written_in_place,
        leftovers_stay,
        another_idempotency_key_for_each_start,
        sent_before_it_is_written,
        used_before_it_is_saved,
        given_up_on_an_error_of_the_server,
        thrown_away_when_refused,
    )
}
