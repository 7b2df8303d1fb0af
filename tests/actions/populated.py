"""Agents and a trail full of equal values, in a database of either kind, and what is in it."""

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keyturn.actions.read_audit import Numbered, numbered
from keyturn.actions.record_audit import insert_entry
from keyturn.actions.service import Principal, Service
from keyturn.core.agent import DAY, Agent
from keyturn.core.audit_trail import Action, Entry
from keyturn.core.credential import Kind
from keyturn.core.keyed_hash import Keyring
from keyturn.storage.store import Transaction
from tests.actions.world import FIRST_KEY, POLICY, START
from tests.storage.backends import Place
from tests.storage.batches import do

ADA, BOB, OPERATOR = "ada", "bob", "the operator"
PEOPLE = {
    name: Principal(name, operator=name == OPERATOR, token_id=f"token of {name}")
    for name in (ADA, BOB, OPERATOR)
}
NAMES = ("alpha", "Alpha", "100%_sure", "beta\\", "Ünal", "\U0010ffff", "<b>")
ADDRESSES = ("192.0.2.7", "2001:db8::1", None)


@dataclass(frozen=True)
class Populated:
    """The service, and everything that its tables hold, newest first."""

    service: Service
    agents: list[Agent] = field(repr=False)
    trail: list[Numbered] = field(repr=False)

    def agents_of(self, who: Principal) -> list[Agent]:
        return [agent for agent in self.agents if who.may_see(agent.developer_id)]

    def entries_of(self, who: Principal) -> list[Entry]:
        return [item.entry for item in self.trail if who.may_see(item.entry.developer_id)]

    def names(self, who: Principal) -> dict[str, str]:
        return {agent.id: agent.name for agent in self.agents_of(who)}


@contextlib.contextmanager
def opened(place: Place, folder: Path) -> Iterator[Populated]:
    """A database at this place, filled; its limits are in the folder."""
    with _service(place, folder) as service:
        do(service.store.write(_populate))
        everything = {"status": None, "name_pattern": None, "id_pattern": None}
        start = {"since": 0, "before_at": 2**62, "before_seq": 0, "limit": 1000}

        def read(tx: Transaction) -> Populated:
            agents = tx.all(Agent, "agents_of_everybody", before=2**62, limit=1000, **everything)
            return Populated(service, agents, tx.all(numbered, "audit_of_everybody", **start))

        yield do(service.store.read(read))


@contextlib.contextmanager
def _service(place: Place, folder: Path) -> Iterator[Service]:
    limits = Place("sqlite", "limits.db", folder)
    with place.opened() as store, limits.opened() as limits_store:
        yield Service(
            store=store,
            limits=limits_store,
            keyring=Keyring([FIRST_KEY]),
            policy=POLICY,
            now=lambda: START,
            random_bytes=os.urandom,
        )


def _populate(tx: Transaction) -> None:
    chance = random.Random(1)
    tx.execute("add_server_key", id="k1", verifier=b"", now=0)
    for name, who in PEOPLE.items():
        email = f"{name.replace(' ', '.')}@example.com"
        tx.execute("add_developer", id=name, email=email, operator=who.operator, now=0)
        token = {
            "kind": Kind.DEVELOPER_TOKEN.value,
            "name": "",
            "server_key": "k1",
            "last4": "0000",
        }
        mac = name.encode()
        lasting = {"now": 0, "expires_at": None, "max_uses": None, "created_by": None}
        tx.execute("add_token", id=who.token_id, developer_id=name, mac=mac, **token, **lasting)
    for number in range(60):
        _add_agent(tx, chance, number)
    for number in range(150):
        insert_entry(tx, _entry(chance, number))


def _add_agent(tx: Transaction, chance: random.Random, number: int) -> None:
    period = chance.choice((1, 7, 10))
    # At, before and after the instants at which a key becomes due and overdue.
    gone = chance.choice((0, period * DAY * 8 // 10, period * DAY, 2 * period * DAY))
    agent_id = f"agent-{number}"
    tx.execute(
        "add_agent",
        id=agent_id,
        developer_id=chance.choice((ADA, ADA, BOB)),
        name=chance.choice(NAMES),
        key_mac=agent_id.encode(),
        key_server_key="k1",
        key_last4="x7Qz",
        secret_mac=None,
        secret_server_key=None,
        now=START - gone + chance.choice((-1, 0, 1)),
        rotation_period_days=period,
        credit_balance=chance.choice((0, 100, 2**53 - 1)),
        self_registered=False,
    )
    if used := chance.choice((0, 1, 2)):
        tx.execute("note_agent_used", id=agent_id, generation=1, at=START - used, address="x")
    if ended := chance.choice((None, None, "revoke_agent", "quarantine_agent")):
        tx.execute(ended, id=agent_id)


def _entry(chance: random.Random, number: int) -> Entry:
    action = chance.choice(
        (
            Action.CREDENTIAL_ROTATED,
            Action.CREDENTIAL_REUSED,
            Action.CREDENTIAL_ROTATION_REFUSED,
            Action.ROTATION_SECRET_REMOVED,
        )
    )
    refused = action in (Action.CREDENTIAL_REUSED, Action.CREDENTIAL_ROTATION_REFUSED)
    details: dict[str, object] = {"reason": chance.choice(("Café", "agent_revoked"))}
    if action == Action.CREDENTIAL_REUSED:
        details = {"severity": chance.choice(("critical", "warning", "info"))}
    return Entry(
        id=f"entry-{number}",
        at=START - chance.randrange(12) * DAY // 2,
        actor_kind=chance.choice(("agent", "developer")),
        actor_id=None,
        action=action,
        outcome="refused" if refused else "success",
        agent_id=chance.choice((None, *(f"agent-{each}" for each in range(4)))),
        developer_id=chance.choice((ADA, BOB, None)),
        address=chance.choice(ADDRESSES),
        user_agent="curl/8",
        request_id=None,
        details=details,
    )
