"""`KeyturnAuth`: httpx authentication with a key that rotates itself."""

import logging
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

import httpx

from keyturn.client.credentials import Holder, Stored
from keyturn.client.credentials_file import CredentialsFile, Signature
from keyturn.client.effects import Operation, Run, arun, run
from keyturn.client.errors import (
    ClientError,
    CredentialsFileError,
    CredentialsRefused,
    Limited,
    TryAgain,
)
from keyturn.client.protocol import bearer
from keyturn.client.rotation import JITTER, Deadline, catch_up

PATIENCE = 10.0
"""The seconds for which a request waits while its key is being changed."""

BACK_OFF = 60.0
LONGEST_BACK_OFF = 900.0
REPEAT_PAUSE = 2.0

log = logging.getLogger("keyturn")


@dataclass(frozen=True, slots=True)
class View:
    """The credentials file as it was last seen, and when its key is to be rotated."""

    signature: Signature | None
    stored: Stored
    rotate_at: datetime

    @classmethod
    def of(cls, signature: Signature | None, stored: Stored, before: "View | None") -> "View":
        """What is seen now; for a key that was seen `before`, the moment drawn for it stays."""
        if stored.holder is None:
            return cls(signature, stored, datetime.max.replace(tzinfo=UTC))
        if before is not None and before.stored.has_key_and_dates_of(stored):
            return cls(signature, stored, before.rotate_at)
        # Many agents are made at the same moment; they must not come back at the same moment.
        period = stored.holder.due_at - stored.holder.created_at
        return cls(signature, stored, stored.holder.due_at - period * JITTER.uniform(0, 0.1))

    @property
    def is_due(self) -> bool:
        return datetime.now(UTC) >= self.rotate_at

    @property
    def needs_work(self) -> bool:
        return self.stored.pending is not None or self.is_due


class KeyturnAuth(httpx.Auth):
    """Sends the API key of a credentials file, and rotates it when that is due.

    For `httpx.Client` and `httpx.AsyncClient`, for many threads and many processes:

        client = httpx.Client(base_url="https://api.example.com", auth=KeyturnAuth("agent.json"))

    A key is rotated in the last tenth of its period, at a moment drawn for it; the calls for that
    go to the server that the file names, never through your client. When another process has
    rotated, a request that met a 401 because of it is sent once more with the new key, unless its
    body is a stream, which can't be sent twice. While a rotation can't be done, requests go on
    with the key that there is, and the logger "keyturn" warns.

    httpx takes the key off a request that is redirected to another origin. The key goes wherever
    you send requests with this; keep a client for Keyturn's services alone.

    Raises, at the first request:
        ClientError: there is no usable credentials file, or it has no agent yet.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._file = CredentialsFile(Path(path))
        self._view: View | None = None
        self._not_before = 0.0
        self._repeat_not_before = 0.0

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """One request, and perhaps the same again (`httpx.Auth`)."""
        sent = run(self._current())
        response = yield _with_key(request, sent)
        if response.status_code == httpx.codes.UNAUTHORIZED and _can_repeat(request):
            renewed = run(self._renewed(sent))
            if not renewed.stored.has_key_of(sent.stored):
                yield _with_key(request, renewed)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """One request, and perhaps the same again (`httpx.Auth`)."""
        sent = await arun(self._current())
        response = yield _with_key(request, sent)
        if response.status_code == httpx.codes.UNAUTHORIZED and _can_repeat(request):
            renewed = await arun(self._renewed(sent))
            if not renewed.stored.has_key_of(sent.stored):
                yield _with_key(request, renewed)

    def _current(self) -> Operation[View]:
        """What to send now, after doing what is due."""
        view = yield from self._looked()
        if view.needs_work and time.monotonic() >= self._not_before:
            view = yield from self._caught_up(view, begin=view.is_due)
        return view

    def _renewed(self, sent: View) -> Operation[View]:
        """What to send after `sent` was refused: another process may be changing it just now."""
        view = yield from self._looked()
        if view.stored.has_key_of(sent.stored):
            # What is pending may be why: its repeat is soon worth trying, whatever else waits.
            finish = time.monotonic() >= self._repeat_not_before
            view = yield from self._caught_up(view, begin=False, finish=finish)
        return view

    def _looked(self) -> Operation[View]:
        """The file as it is; as it was, where it has gone bad since."""
        signature = self._file.signature()
        view = self._view
        if view is not None and view.signature == signature:
            return view
        try:
            self._view = View.of(signature, (yield Run(self._file.read)), view)
        except CredentialsFileError as error:
            if view is None:
                raise
            log.warning("Going on with the API key as it was. %s", error)
            self._view = View(signature, view.stored, view.rotate_at)
        return self._view

    def _caught_up(self, view: View, *, begin: bool, finish: bool = True) -> Operation[View]:
        """The view after whoever is rotating has finished, we ourselves if it is for us to do."""
        deadline = Deadline(PATIENCE)
        try:
            stored = yield from catch_up(
                self._file, view.stored, deadline, begin=begin, finish=finish
            )
        except ClientError as error:
            if view.stored.holder is None:
                raise
            final = isinstance(error, CredentialsRefused)
            level = logging.ERROR if final else logging.WARNING
            log.log(level, "The API key could not be rotated now. %s", error)
            self._repeat_not_before = time.monotonic() + (BACK_OFF if final else REPEAT_PAUSE)
            self._wait(error.retry_after if isinstance(error, Limited) else BACK_OFF)
            return view
        # Without a signature: somebody may have changed the file again since the lock was let go.
        self._view = View.of(None, stored, view)
        return self._view

    def _wait(self, seconds: float) -> None:
        pause = min(seconds, LONGEST_BACK_OFF)
        self._not_before = time.monotonic() + pause * JITTER.uniform(1, 1.5)


def _with_key(request: httpx.Request, view: View) -> httpx.Request:
    holder: Holder | None = view.stored.holder
    if holder is None:
        raise TryAgain(
            "The agent is not registered yet.",
            "The credentials file has the unfinished request.",
            "Run it again.",
        )
    request.headers.update(bearer(holder))
    return request


def _can_repeat(request: httpx.Request) -> bool:
    try:
        return isinstance(request.content, bytes)
    except httpx.RequestNotRead:
        return False
