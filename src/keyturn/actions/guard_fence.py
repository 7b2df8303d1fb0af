"""Holds the store against the fence: what was retired must not be alive in it again."""

from collections.abc import Iterable
from dataclasses import dataclass

from keyturn.core.fence import (
    DamagedFence,
    Mark,
    Marks,
    Record,
    Subject,
    agent_record,
    ahead,
    behind,
    end_record,
    token_record,
)
from keyturn.storage.fence_file import FenceFile
from keyturn.storage.store import Store, Transaction

GIVE_UP = "give it up with keyturn restore --repair --abandon-fence"


class UnusableFence(Exception):
    """The store must not be used with this fence, or without one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """By which a fence is known, and whether there has been one."""

    id: str
    fenced: bool


async def guard_fence(store: Store, fence: FenceFile | None) -> None:
    """Make sure that the store is not behind its fence, and mark what is not marked yet.

    The first time, the fence is made. It is read before the store: what others commit meanwhile
    is then only ahead.

    Raises:
        UnusableFence
    """
    fenced = await fenced_marks(store, fence)
    if fence is None:
        return
    try:
        if fenced is None:
            fence.create((await _installation(store)).id)
            fenced = {}
        kept = await store.read(kept_marks)
        if older := behind(fenced, kept):
            raise UnusableFence(_how_far(fence, older, kept))
        if unmarked := ahead(fenced, kept):
            fence.append(unmarked)
    except (DamagedFence, OSError) as error:
        raise _unusable(fence, error) from error
    if not (await _installation(store)).fenced:
        await store.write(lambda tx: tx.execute("set_fenced", fenced=True))


async def fenced_marks(store: Store, fence: FenceFile | None) -> Marks | None:
    """The marks of this store's fence; None where there is none and has never been one.

    Raises:
        UnusableFence: it is damaged, missing, not named, or another installation's.
    """
    installation = await _installation(store)
    if fence is None:
        if installation.fenced:
            raise UnusableFence(
                f"This installation has a fence: name its file in KEYTURN_FENCE, or {GIVE_UP}."
            )
        return None
    try:
        if fence.exists():
            return fence.read(installation.id)
    except (DamagedFence, OSError) as error:
        raise _unusable(fence, error) from error
    if installation.fenced:
        raise UnusableFence(f"The fence {fence.path} is missing: put it back, or {GIVE_UP}.")
    return None


def kept_marks(tx: Transaction) -> Marks:
    """How far everything in the store has come."""
    agents: Iterable[Record] = tx.all(agent_record, "agents_to_fence")
    tokens = tx.all(token_record, "tokens_to_fence")
    active = tx.all(_active_developer, "active_developers")
    disabled = tx.all(_disabled_developer, "disabled_developers")
    return dict([*agents, *tokens, *active, *disabled])


def _active_developer(identifier: str) -> Record:
    return Subject("developer", identifier), Mark(ended=False)


def _disabled_developer(identifier: str) -> Record:
    return end_record("developer", identifier)


async def _installation(store: Store) -> Installation:
    found = await store.read(lambda tx: tx.one(Installation, "installation"))
    if found is None:
        raise LookupError("the installation's own record")
    return found


def _how_far(fence: FenceFile, older: Marks, kept: Marks) -> str:
    count = dict.fromkeys(("agent", "token", "developer"), 0)
    for subject in older:
        count[subject.kind] += 1
    generations = max(
        (mark.number - kept[subject].number for subject, mark in older.items()), default=0
    )
    return (
        f"The database is older than its fence {fence.path}: {count['agent']} agents (by up to "
        f"{max(generations, 0)} generations), {count['token']} tokens and {count['developer']} "
        "developers have changed since, and what was retired would live again. Stop whatever "
        "uses it, run keyturn restore --repair, and start again."
    )


def _unusable(fence: FenceFile, error: Exception) -> UnusableFence:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return UnusableFence(f"The fence {fence.path} can't be used: {text}.")
