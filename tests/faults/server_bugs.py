"""Bugs for the server: `python -m tests.faults.server_bugs BUG serve …` serves with one of them."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

from keyturn import housekeeping, installation
from keyturn.actions import (
    issue_credentials,
    recover,
    revoke_agent,
    rotate_credentials,
    verify_key,
)
from keyturn.actions.find_agent import agent_by_key, kept_now
from keyturn.actions.issue_credentials import Issued, swap
from keyturn.actions.note_use import note_key_use, write_uses
from keyturn.actions.recover import Opened, Recoverable
from keyturn.actions.retire_credentials import Shown, retire_pair
from keyturn.actions.service import Service
from keyturn.cli.main import main
from keyturn.core.agent import Agent
from keyturn.core.keyed_hash import Mac
from keyturn.core.recovery import Receipt
from keyturn.storage import group_commit
from keyturn.storage.group_commit import Job, Writer
from keyturn.storage.sqlite_file import Database, credentials_database
from keyturn.storage.store import Transaction

SOON = 0.05
"""Seconds that leave a crash the time to come between two steps."""


class Without:
    """A transaction that leaves out one of its statements."""

    def __init__(self, tx: Transaction, left_out: str) -> None:
        self._tx = tx
        self._left_out = left_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def execute(self, query: str, /, **values: Any) -> int:
        return 0 if query == self._left_out else self._tx.execute(query, **values)


def answered_before_the_commit() -> None:
    def commit(self: Writer, jobs: list[Job], wait: bool) -> list[Job]:
        transaction, free = self._begin(jobs, wait)
        self._run_apart(transaction, free)
        group_commit._deliver(free)
        time.sleep(SOON)
        self._connection.commit()
        return free

    put(Writer, "_commit", commit)


def commits_are_not_synced() -> None:
    def unsynced(path: Any) -> Database:
        return replace(credentials_database(path), synchronous="NORMAL")

    put(installation, "credentials_database", unsynced)


def burnt_by_a_wrong_guess() -> None:
    replay = recover.replay

    async def burn(service: Service, call: Any, request: Recoverable, action: Any) -> Opened | None:
        opened = await replay(service, call, request, action)
        if opened is None:
            for mac in request._lookups:
                found = await service.store.read(partial(_receipt, mac=mac))
                if found is not None and found.lookup == mac.digest:
                    await _end_receipt(service, found.agent_id, found.generation)
        return opened

    put(rotate_credentials, "replay", burn)


def burnt_by_the_first_repeat() -> None:
    replay = recover.replay

    async def burn(service: Service, call: Any, request: Recoverable, action: Any) -> Opened | None:
        opened = await replay(service, call, request, action)
        if opened is not None:
            await _end_receipt(service, opened.agent_id, opened.generation)
        return opened

    put(rotate_credentials, "replay", burn)


def _receipt(tx: Transaction, mac: Mac) -> Receipt | None:
    return tx.one(Receipt, "receipt_or_newest", mac=mac.digest)


async def _end_receipt(service: Service, agent_id: str, generation: int) -> None:
    await service.store.write(
        lambda tx: tx.execute("end_receipt", agent_id=agent_id, generation=generation)
    )


def older_rotations_are_repeated() -> None:
    """Every answer is remembered until a key is used that is not older."""
    answers: dict[tuple[bytes, ...], Opened] = {}
    keep, replay = Recoverable.keep, recover.replay

    def remember(
        self: Recoverable, tx: Transaction, agent_id: str, generation: int, answer: bytes, end: int
    ) -> None:
        answers[tuple(self._proof)] = Opened(agent_id, generation, answer)
        keep(self, tx, agent_id, generation, answer, end)

    async def recall(
        service: Service, call: Any, request: Recoverable, action: Any
    ) -> Opened | None:
        opened = await replay(service, call, request, action)
        return opened or answers.get(tuple(request._proof))

    async def forget(service: Service) -> None:
        for (_, agent_id), use in service.uses.first.items():
            for proof, opened in list(answers.items()):
                if opened.agent_id == agent_id and opened.generation <= (use.generation or 0):
                    del answers[proof]
        await write_uses(service)

    put(Recoverable, "keep", remember)
    put(rotate_credentials, "replay", recall)
    put(housekeeping, "write_uses", forget)


def repeated_after_a_revocation() -> None:
    end_agent = revoke_agent.end_agent

    def end(tx: Transaction, agent: Agent) -> bool:
        return end_agent(Without(tx, "end_receipt"), agent)

    put(revoke_agent, "end_agent", end)


def repeated_after_a_developer_rotated() -> None:
    def retire(tx: Transaction, service: Service, agent: Agent, shown: Shown | None) -> None:
        retire_pair(tx if shown else Without(tx, "end_receipt"), service, agent, shown)

    put(issue_credentials, "retire_pair", retire)


def first_use_is_not_noticed() -> None:
    def note(service: Service, call: Any, agent: Agent, key: Any) -> None:
        note_key_use(service, call, agent._replace(generation=0), key)

    put(verify_key, "note_key_use", note)


def repeated_for_any_idempotency_key() -> None:
    recoverable = rotate_credentials.recoverable_rotation

    def unbound(service: Service, shown: Shown) -> Recoverable | None:
        given = shown.idempotency_key is not None
        return recoverable(service, replace(shown, idempotency_key="any" * 8)) if given else None

    put(rotate_credentials, "recoverable_rotation", unbound)


def old_key_lives_for_a_second() -> None:
    seen: dict[str, tuple[str, float]] = {}

    def remembered(agent: Agent | None, key: Any) -> str | None:
        now = time.monotonic()
        if agent is not None:
            seen[key.reveal()] = agent.id, now
        agent_id, at = seen.get(key.reveal() if key else "", (None, 0.0))
        return agent_id if now - at < 1 else None

    def lenient(tx: Transaction, service: Service, key: Any) -> Agent | None:
        agent = agent_by_key(tx, service, key)
        agent_id = remembered(agent, key)
        return agent or (tx.one(Agent, "agent_by_id", id=agent_id) if agent_id else None)

    async def lenient_now(service: Service, shape: Any, query: str, key: Any) -> Agent | None:
        agent: Agent | None = await kept_now(service, shape, query, key)
        agent_id = remembered(agent, key)
        if agent is not None or agent_id is None:
            return agent
        return await service.store.read(lambda tx: tx.one(Agent, "agent_by_id", id=agent_id))

    put(verify_key, "kept_now", lenient_now)
    put(rotate_credentials, "agent_by_key", lenient)


def no_compare_and_swap() -> None:
    def swap_whatever(tx: Transaction, service: Service, agent: Agent, *rest: Any) -> bool:
        now = tx.one(Agent, "agent_by_id", id=agent.id) or agent
        return swap(Without(tx, "retire_credentials"), service, now, *rest)

    put(rotate_credentials, "swap", swap_whatever)


def recorded_after_the_commit() -> None:
    _later(rotate_credentials, "_record_rotation", lambda tx, arguments: (tx, *arguments[1:]))


def kept_after_the_commit() -> None:
    _later(Recoverable, "keep", lambda tx, arguments: (arguments[0], tx, *arguments[2:]))


def _later(
    owner: Any, name: str, within: Callable[[Transaction, tuple[Any, ...]], tuple[Any, ...]]
) -> None:
    """Let a rotation call this in a second transaction; `within` puts that into its arguments."""
    step, rotate = getattr(owner, name), rotate_credentials._rotate
    put_off: list[tuple[Any, ...]] = []

    def again(arguments: tuple[Any, ...], tx: Transaction) -> None:
        step(*within(tx, arguments))

    async def rotate_in_two_steps(service: Service, *rest: Any) -> Issued:
        issued = await rotate(service, *rest)
        while put_off:
            arguments = put_off.pop()
            await service.store.write(partial(again, arguments))
        return issued

    setattr(owner, name, lambda *arguments: put_off.append(arguments))
    put(rotate_credentials, "_rotate", rotate_in_two_steps)


def put(owner: object, name: str, bug: object) -> None:
    """Have the bug in the place of what the owner has by this name."""
    mock.patch.object(owner, name, bug).start()


SERVER_BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        answered_before_the_commit,
        commits_are_not_synced,
        burnt_by_a_wrong_guess,
        burnt_by_the_first_repeat,
        older_rotations_are_repeated,
        repeated_after_a_revocation,
        repeated_after_a_developer_rotated,
        first_use_is_not_noticed,
        repeated_for_any_idempotency_key,
        old_key_lives_for_a_second,
        no_compare_and_swap,
        recorded_after_the_commit,
        kept_after_the_commit,
    )
}

if __name__ == "__main__":
    SERVER_BUGS[sys.argv.pop(1)]()
    main()
