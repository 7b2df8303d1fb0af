"""Recoverable rotation and registration, step by step, as operations.

The order of the steps is the whole point. What will be asked for is durable before it is asked
for; what was answered is durable before it is used; and one idempotency key is never given up for
another, for as long as nobody knows what became of the first.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import httpx

from keyturn.client import protocol
from keyturn.client.credentials import Holder, IdempotencyKey, Registration, Rotation, Stored
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Answer, Lost, Operation, Run, Send, Wait
from keyturn.client.errors import ClientError, CredentialsFileError, TryAgain
from keyturn.client.protocol import NOTHING_LOST

Read = TypeVar("Read")
Result = TypeVar("Result")

PATIENCE = 60.0
"""The seconds for which an operation goes on trying, unless it is told another number."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
SAVING_PAUSES = (0.1, 0.5, 2.0)

JITTER = random.SystemRandom()
"""Of the system, because forked processes would draw the same otherwise."""

log = logging.getLogger("keyturn")


class Deadline:
    """How long an operation may still wait; `clock` gives seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def allows(self, seconds: float) -> bool:
        return self._clock() + seconds <= self._end


def rotate(file: CredentialsFile, deadline: Deadline) -> Operation[Stored]:
    """Finish what is pending; otherwise rotate once, unless another process does meanwhile."""
    seen = yield Run(file.read)
    return (yield from catch_up(file, seen, deadline, begin=True))


def catch_up(
    file: CredentialsFile, seen: Stored, deadline: Deadline, *, begin: bool, finish: bool = True
) -> Operation[Stored]:
    """The file's credentials when no other process is changing them.

    Where they are still the ones `seen`, and nothing is pending, `begin` starts a rotation;
    `finish` finishes what is pending.
    """

    def proceed(stored: Stored) -> Operation[Stored]:
        if not finish:
            return stored
        if begin and stored.pending is None and stored.has_key_of(seen):
            stored = replace(stored, pending=Rotation(IdempotencyKey.new()))
        return (yield from settled(file, stored, deadline))

    return (yield from under_lock(file, file.read, deadline, proceed))


def settled(file: CredentialsFile, stored: Stored, deadline: Deadline) -> Operation[Stored]:
    """What is stored after its pending request has been finished. The caller has the lock."""
    match stored.pending:
        case Registration() as pending:
            return (yield from _finish_registration(file, stored, pending, deadline))
        case Rotation() as pending if stored.holder is not None:
            return (yield from _finish_rotation(file, stored, stored.holder, pending, deadline))
        case _:
            return stored


def under_lock(
    file: CredentialsFile,
    read: Callable[[], Read],
    deadline: Deadline,
    proceed: Callable[[Read], Operation[Result]],
) -> Operation[Result]:
    """`proceed` with what `read` gives, while no other process can write the file.

    Raises:
        TryAgain: another process did not let go of the lock in time.
    """
    lock = file.lock()
    try:
        while not (yield Run(lock.try_acquire)):
            pause = JITTER.uniform(0.02, 0.1)
            if not deadline.allows(pause):
                raise TryAgain(
                    f"Another process is at work on the credentials file {file.path}.",
                    "Nothing was changed or sent.",
                    "Wait until it has finished, then run it again.",
                )
            yield Wait(pause)
        return (yield from proceed((yield Run(read))))
    finally:
        lock.release()


def ask(request: httpx.Request, url: str, safe: str, deadline: Deadline) -> Operation[Answer]:
    """The final answer to a request, which is repeated unchanged until there is one.

    Raises:
        TryAgain, Limited: there was none in time. `safe` is the error's second sentence.
    """
    pause = FIRST_PAUSE
    while True:
        answer: Answer | Lost = yield Send(request)
        if isinstance(answer, Answer) and not protocol.is_again(answer):
            return answer
        told = protocol.retry_after(answer)
        wait = JITTER.uniform(pause / 2, pause) if told is None else told + JITTER.uniform(0, 0.5)
        if not deadline.allows(wait):
            raise _gave_up(answer, url, safe, wait)
        yield Wait(wait)
        pause = min(2 * pause, LONGEST_PAUSE)


def remember(file: CredentialsFile, seen: Stored, deadline: Deadline) -> Operation[None]:
    """Keep the name and the dates of `seen`, if its key is still the file's; else do nothing."""

    def proceed(stored: Stored) -> Operation[None]:
        if stored.has_key_of(seen) and stored.pending is None:
            yield Run(partial(file.write, seen))

    try:
        yield from under_lock(file, file.read, deadline, proceed)
    except (CredentialsFileError, TryAgain) as error:
        log.warning("The date of the next rotation was not saved. %s", error.wrong)


def _finish_rotation(
    file: CredentialsFile,
    stored: Stored,
    holder: Holder,
    pending: Rotation,
    deadline: Deadline,
    *,
    may_start_over: bool = True,
) -> Operation[Stored]:
    # Written although it may have been read: who wrote it may have died before it was durable.
    yield Run(partial(file.write, stored))
    request = protocol.rotation_request(stored.url, holder, pending)
    answer = yield from ask(request, stored.url, NOTHING_LOST, deadline)
    if protocol.code_of(answer) == "idempotency_key_reused" and may_start_over:
        # The pair is current, and the key is of an earlier rotation: nothing is unknown.
        pending = Rotation(IdempotencyKey.new())
        stored = replace(stored, pending=pending)
        return (
            yield from _finish_rotation(
                file, stored, holder, pending, deadline, may_start_over=False
            )
        )
    if error := protocol.refusal(answer, stored.url, protocol.KEPT):
        raise error
    renewed = protocol.rotated(answer, holder, datetime.now(UTC))
    if renewed is None:
        raise protocol.not_keyturn(answer, stored.url, NOTHING_LOST)
    return (yield from _kept(file, replace(stored, holder=renewed, pending=None)))


def _finish_registration(
    file: CredentialsFile, stored: Stored, pending: Registration, deadline: Deadline
) -> Operation[Stored]:
    yield Run(partial(file.write, stored))
    request = protocol.registration_request(stored.url, pending)
    answer = yield from ask(request, stored.url, NOTHING_LOST, deadline)
    if error := protocol.refusal(answer, stored.url, protocol.NOT_REGISTERED):
        raise error
    holder = protocol.registered(answer, datetime.now(UTC))
    if holder is None:
        raise protocol.not_keyturn(answer, stored.url, protocol.NOT_REGISTERED)
    return (yield from _kept(file, replace(stored, holder=holder, pending=None)))


def _kept(file: CredentialsFile, stored: Stored) -> Operation[Stored]:
    """The new pair, durable and then used for the first time.

    Raises:
        CredentialsFileError: it could not be saved, and was not used.
    """
    for pause in (*SAVING_PAUSES, None):
        try:
            yield Run(partial(file.write, stored))
            break
        except CredentialsFileError as error:
            failure = error.wrong
        if pause is None:
            raise CredentialsFileError(
                failure,
                f"The server has made new credentials, which were not used. {NOTHING_LOST}",
                "Make room or give access, then run it again.",
            )
        yield Wait(pause)
    return (yield from _first_used(file, stored))


def _first_used(file: CredentialsFile, stored: Stored) -> Operation[Stored]:
    """With the name and dates that the server knows, as far as they can be had and kept.

    Asking for them is the first use of a new key, which tells the server that it has arrived.
    """
    if stored.holder is None:
        return stored
    answer: Answer | Lost = yield Send(protocol.self_request(stored.url, stored.holder))
    view = protocol.viewed(answer, stored.holder) if isinstance(answer, Answer) else None
    if view is None:
        return stored
    stored = replace(stored, holder=protocol.dated(stored.holder, view))
    try:
        yield Run(partial(file.write, stored))
    except CredentialsFileError as error:
        log.warning("The date of the next rotation was not saved. %s", error.wrong)
    return stored


def _gave_up(answer: Answer | Lost, url: str, safe: str, wait: float) -> ClientError:
    if isinstance(answer, Lost):
        wrong = f"{url} did not answer ({answer.reason})."
    elif answer.status == httpx.codes.TOO_MANY_REQUESTS:
        return protocol.limited(answer, wait, safe)
    else:
        wrong = f"{url} answered with an error of its own (status {answer.status})."
    return TryAgain(
        wrong, safe, "Run it again when the server can be reached: the outcome is not known yet."
    )
