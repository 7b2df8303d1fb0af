"""The trail: what an entry is, and how floods of refusals become counts.

Every change of security state has one entry. So has every refusal that names an agent. Refusals
that name none, and those past a limit, come from whoever likes to send them: the first is an
entry, then each 15 minutes have one count in an entry of its own, and at most 10 such entries a
second are made for the installation. What is past that cap is counted without its address.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID, uuid5

from keyturn.core.instant import rfc3339

TALLY_WINDOW = 15 * 60_000
"""Milliseconds that one count covers."""
ENTRIES_A_SECOND = 10
EVERYWHERE = "*"
"""The bucket of counts past the cap, which keep no address."""
DEVELOPER = "developer"
REUSE = "reuse"
"""How a bucket begins that counts uses of one retired credential: then agent and developer."""

_COUNTS = UUID("5f2b1f0e-6f0c-4a53-9d6e-0b7f3a1c9d24")

ActorKind = Literal["agent", "developer", "service", "system", "command_line", "anonymous"]
Outcome = Literal["success", "refused"]


class Action(StrEnum):
    """Everything that the trail can say has happened, or was refused."""

    AGENT_REGISTERED = "agent.registered"
    AGENT_REGISTRATION_REPLAYED = "agent.registration_replayed"
    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_REVOKED = "agent.revoked"
    AGENT_REINSTATED = "agent.reinstated"
    AGENT_DELETED = "agent.deleted"
    CREDENTIAL_ROTATED = "credential.rotated"
    CREDENTIAL_ROTATION_REFUSED = "credential.rotation_refused"
    CREDENTIAL_ROTATION_REPLAYED = "credential.rotation_replayed"
    CREDENTIAL_REUSED = "credential.reused"
    ROTATION_SECRET_CONFIGURED = "rotation_secret.configured"
    ROTATION_SECRET_REMOVED = "rotation_secret.removed"
    CREDITS_CHANGED = "credits.changed"
    DEVELOPER_CREATED = "developer.created"
    DEVELOPER_DISABLED = "developer.disabled"
    DEVELOPER_INVITED = "developer.invited"
    DEVELOPER_JOINED = "developer.joined"
    DEVELOPER_SET_UP = "developer.set_up"
    DEVELOPER_SIGNED_IN = "developer.signed_in"
    DEVELOPER_SIGNED_OUT = "developer.signed_out"
    DEVELOPER_SESSION_ENDED = "developer.session_ended"
    DEVELOPER_PASSWORD_CONFIRMED = "developer.password_confirmed"
    DEVELOPER_PASSWORD_CHANGED = "developer.password_changed"
    TOKEN_CREATED = "token.created"
    TOKEN_DELETED = "token.deleted"
    TOKEN_REFUSED = "token.refused"
    SERVER_KEY_ABANDONED = "server_key.abandoned"
    CREDENTIAL_FENCED = "credential.fenced"
    STORE_RESTORED = "store.restored"
    STORE_MOVED = "store.moved"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: the kind, and the id where there is one."""

    kind: ActorKind
    id: str | None = None


ANONYMOUS = Actor("anonymous")
SYSTEM = Actor("system")
COMMAND_LINE = Actor("command_line")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail. `at` is milliseconds since 1970 UTC. Never changed afterwards."""

    id: str
    at: int
    actor_kind: ActorKind
    actor_id: str | None
    action: str
    outcome: Outcome
    agent_id: str | None
    developer_id: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Its members by name."""
        return {name: getattr(self, name) for name in _ENTRY_COLUMNS}


_ENTRY_COLUMNS = tuple(member.name for member in fields(Entry))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it happened. `bucket` is set where refusals like it are counted.

    `reason` tells apart what is counted in one bucket; `times` is how often it happened.
    """

    entry: Entry
    reason: str
    bucket: str | None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one kind of refusal came from one bucket since its window opened."""

    action: str
    reason: str
    bucket: str
    opened_at: int
    count: int


@dataclass(frozen=True, slots=True)
class Folded:
    """What refusals became: entries to write, tallies to keep, and tallies that are over."""

    entries: list[Entry]
    kept: list[Tally]
    ended: list[Tally]


def bucket_of(developer_id: str | None, address_bucket: str) -> str:
    """Where refusals that name no agent are counted: by developer if known, else by address."""
    return f"{DEVELOPER} {developer_id}" if developer_id else address_bucket


TallyKey = tuple[str, str, str]


def fold(refusals: Iterable[Refusal], tallies: Iterable[Tally], now: int, allowance: int) -> Folded:
    """Turn refusals into entries and counts, and close the windows that are over at `now`.

    `tallies` are those that may be concerned; `allowance` is how many entries that stand for
    countable refusals may still be made this second. Windows that find none left close later.
    """
    closing = _close_windows(tallies, now, allowance)
    allowance -= len(closing.entries)
    standing = {_key(tally): tally for tally in closing.kept}
    entries = list(closing.entries)
    for refusal in refusals:
        if refusal.bucket is None:
            entries.append(refusal.entry)
            continue
        key = (refusal.entry.action, refusal.reason, refusal.bucket)
        times = refusal.times
        names_agent = refusal.entry.agent_id is not None
        if key not in standing and (names_agent or allowance > 0):
            allowance -= not names_agent
            entries.append(refusal.entry)
            standing[key] = Tally(*key, opened_at=refusal.entry.at, count=0)
            times -= 1
        if key not in standing:
            key = (*key[:2], EVERYWHERE)
        counted = standing.get(key) or Tally(*key, opened_at=refusal.entry.at, count=0)
        standing[key] = replace(counted, count=counted.count + times)
    ended = [tally for tally in closing.ended if _key(tally) not in standing]
    return Folded(entries, list(standing.values()), ended)


def _close_windows(tallies: Iterable[Tally], now: int, allowance: int) -> Folded:
    entries: list[Entry] = []
    kept: list[Tally] = []
    ended: list[Tally] = []
    for tally in tallies:
        # A window that opens in the future was made under a clock that was wrong.
        over = not 0 <= now - tally.opened_at < TALLY_WINDOW
        if over and tally.count == 0:
            ended.append(tally)
        elif over and len(entries) < allowance:
            entries.append(_count_entry(tally))
            kept.append(replace(tally, opened_at=now, count=0))
        else:
            kept.append(tally)
    return Folded(entries, kept, ended)


def _key(tally: Tally) -> TallyKey:
    return (tally.action, tally.reason, tally.bucket)


def _count_entry(tally: Tally) -> Entry:
    agent_id, developer_id, address = _whose(tally.bucket)
    return Entry(
        # One window of one tally has one id, so that writing its count twice changes nothing.
        id=str(uuid5(_COUNTS, f"{tally.action} {tally.reason} {tally.bucket} {tally.opened_at}")),
        at=tally.opened_at + TALLY_WINDOW,
        actor_kind="developer" if developer_id and not agent_id else ANONYMOUS.kind,
        actor_id=None if agent_id else developer_id,
        action=tally.action,
        outcome="refused",
        agent_id=agent_id,
        developer_id=developer_id,
        address=address,
        user_agent=None,
        request_id=None,
        details={
            "severity" if agent_id else "reason": tally.reason,
            "count": tally.count,
            "from": rfc3339(tally.opened_at),
            "to": rfc3339(tally.opened_at + TALLY_WINDOW),
        },
    )


def _whose(bucket: str) -> tuple[str | None, str | None, str | None]:
    """The agent, the developer and the address that a bucket counts for."""
    kind, *names = bucket.split(" ")
    if kind == REUSE:
        return names[0], names[1], None
    if kind == DEVELOPER:
        return None, names[0], None
    return None, None, None if bucket == EVERYWHERE else bucket
