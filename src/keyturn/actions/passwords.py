"""Passwords are hashed with argon2id, in threads: each takes tens of milliseconds and 64 MiB."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from keyturn.core.errors import Unavailable

AT_ONCE = 2
MAX_WAITING = 32
"""Past so many, others are refused: whoever floods the sign-in must not take all memory."""

_Result = TypeVar("_Result")

# argon2-cffi's defaults are RFC 9106's second recommendation (section 4), for less memory.
_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(AT_ONCE, "argon2")
_waiting = 0


async def hashed(password: str) -> str:
    """The hash of a password, in PHC's form. Raises `Unavailable`: too many wait already."""
    return await _in_thread(lambda: _hasher.hash(password))


async def is_right(password: str, kept: str | None) -> bool:
    """Whether the password is the one that was hashed; never where none is kept.

    Raises:
        Unavailable: too many wait already.
    """
    return await _in_thread(lambda: _matches(password, kept))


def needs_rehash(kept: str) -> bool:
    """Whether it was made with other parameters than passwords are hashed with today."""
    return _hasher.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    """Of no password. Not made at the start, of which it would be a good part."""
    return _hasher.hash("")


def _matches(password: str, kept: str | None) -> bool:
    # Who is unknown costs as much as who is known.
    nobodys = _nobodys()
    try:
        _hasher.verify(kept or nobodys, password)
    except (InvalidHashError, VerificationError):
        return False
    return kept is not None


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    global _waiting  # noqa: PLW0603 - of the process, as the threads are
    if _waiting >= MAX_WAITING:
        raise Unavailable("too many passwords wait")
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting -= 1
