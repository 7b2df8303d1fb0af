"""An agent that several clients use at once, and everything that was asked of it and answered."""

import random
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from keyturn.testing import Server

from .agent_model import ANOTHERS, GOOD, ISSUING, READING, REVOKED, UNKNOWN, Kind, Operation
from .connection import BROKEN, ROTATE, SELF, Answer, Connection

MAX_DOUBTFUL = 6
"""Changes of one agent whose outcome nobody knows; with more the search would take long."""
PATIENCE = 8.0


class Tokens(NamedTuple):
    """Who asks where no agent does."""

    operator: str
    service: str


ROUTES = {
    Kind.ROTATE: ("POST", ROTATE, ""),
    Kind.REVOKE: ("POST", f"{SELF}/revoke", ""),
    Kind.ROTATE_BY_DEVELOPER: ("POST", "/v1/agents/{id}/rotate-key", "operator"),
    Kind.REVOKE_BY_DEVELOPER: ("POST", "/v1/agents/{id}/revoke", "operator"),
    Kind.REINSTATE: ("POST", "/v1/agents/{id}/reinstate", "operator"),
    Kind.ADMIT: ("GET", "/v1/forward-auth", ""),
    Kind.READ: ("GET", SELF, ""),
    Kind.VERIFY: ("POST", "/v1/keys/verify", "service"),
    Kind.INTROSPECT: ("POST", "/v1/introspect", "service"),
    Kind.LOOK: ("GET", "/v1/agents/{id}", "operator"),
}
"""How each is asked for, and with whose token; with the key itself where none is named."""


class Shown(NamedTuple):
    """What a request shows of an agent's: numbers of pairs, from 1, and of an idempotency key."""

    key: int = 0
    secret: int = 0
    once: int | None = None


@dataclass
class RecordedAgent:
    """What was given out, in the order in which it was learnt, and the operations."""

    id: str
    tokens: Tokens = field(repr=False)
    pairs: list[tuple[str, str]] = field(repr=False)
    started: float = field(default_factory=time.monotonic)
    idempotency_keys: list[str] = field(default_factory=list, repr=False)
    operations: list[Operation] = field(default_factory=list)
    shared: dict[int, int] = field(default_factory=dict)
    """The idempotency key that all use who rotate with a pair and want the same answer."""
    revoked: bool = False
    lost: bool = False
    """The newest pair that anybody knows was refused."""
    _learning: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def newest(self) -> int:
        return len(self.pairs)

    @property
    def in_doubt(self) -> bool:
        """So many changes have no outcome that nothing more should be changed."""
        unknown = [it for it in self.operations if it.returned is None and it.kind not in READING]
        return len(unknown) >= MAX_DOUBTFUL

    def new_idempotency_key(self) -> int:
        self.idempotency_keys.append(secrets.token_urlsafe(24))
        return len(self.idempotency_keys) - 1

    def ask(
        self,
        server: Server,
        who: str,
        kind: Kind,
        shown: Shown,
        choice: random.Random,
        patience: float = PATIENCE,
    ) -> Operation | None:
        """Ask and record it. None where the server is not there: then nothing was asked."""
        method, path, token, body, headers = self._request(kind, shown, choice)
        try:
            connection = Connection(server.port, patience)
        except OSError:
            return None
        asked = Operation(kind, self._now(), None, *shown, who=who)
        with connection, suppress(*BROKEN):
            answer = connection.call(method, path, token=token, body=body, headers=headers)
            if answer.status != 503:
                asked = self._answered(asked, answer)
        self.operations.append(asked)
        self._notice(asked)
        return asked

    def history(self) -> list[Operation]:
        """The operations, with a number for each pair that may have been made unseen."""
        made = {_request_of(it): it.made for it in self.operations if it.made}
        history, unseen = [], self.newest
        for operation in self.operations:
            if operation.kind in ISSUING and not operation.made:
                unseen += 1
                repeated = None if operation.once is None else made.get(_request_of(operation))
                operation = replace(operation, made=repeated or unseen)
            history.append(operation)
        return history

    def _now(self) -> float:
        return time.monotonic() - self.started

    def _request(
        self, kind: Kind, shown: Shown, choice: random.Random
    ) -> tuple[str, str, str, object, dict[str, str]]:
        # From an address of its own, so that no limit is reached.
        headers = {"X-Forwarded-For": f"2001:db8:{choice.randrange(1 << 16):x}:{shown.key:x}::1"}
        if shown.once is not None:
            headers["Idempotency-Key"] = self.idempotency_keys[shown.once]
        key = self.pairs[shown.key - 1][0] if shown.key else ""
        bodies: dict[Kind, object] = {
            Kind.REVOKE_BY_DEVELOPER: {},
            Kind.VERIFY: {"key": key},
            Kind.INTROSPECT: f"token={key}".encode(),
        }
        if shown.secret:
            bodies[kind] = {"rotationSecret": self.pairs[shown.secret - 1][1]}
        method, path, asks = ROUTES[kind]
        token = getattr(self.tokens, asks) if asks else key
        return method, path.format(id=self.id), token, bodies.get(kind), headers

    def _answered(self, asked: Operation, answer: Answer) -> Operation:
        """The operation with what the answer says."""
        returned, status, generation, made = self._now(), answer.status, None, 0
        if status == 200 and asked.kind not in {Kind.ADMIT, Kind.REVOKE, Kind.REVOKE_BY_DEVELOPER}:
            body = answer.json()
            match asked.kind:
                case Kind.VERIFY if not body["valid"]:
                    status = {"invalid": UNKNOWN, "revoked": REVOKED}[body["code"]]
                case Kind.INTROSPECT if not body["active"]:
                    status = UNKNOWN
                case Kind.LOOK if body["status"] == "revoked":
                    status = REVOKED
                case kind if kind in ISSUING:
                    made = self._number(body["apiKey"], body["rotationSecret"])
                case _:
                    pass
            generation = body.get("generation")
        if status != answer.status or status == GOOD:
            status = status if self._is_meant(answer) else ANOTHERS
        return replace(asked, returned=returned, status=status, generation=generation, made=made)

    def _is_meant(self, answer: Answer) -> bool:
        """Whether an answer that names an agent names this one."""
        body = answer.json() if answer.body else {}
        named = {answer.headers.get("x-agent-id"), body.get("agentId"), body.get("sub")}
        return named <= {None, self.id}

    def _number(self, key: str, secret: str) -> int:
        pair = key, secret
        with self._learning:
            if pair not in self.pairs:
                self.pairs.append(pair)
            return self.pairs.index(pair) + 1

    def _notice(self, operation: Operation) -> None:
        """What clients tell each other, so that they go on with what is good."""
        if operation.status == REVOKED:
            self.revoked = True
        elif operation.status == GOOD:
            if operation.kind in {Kind.REVOKE, Kind.REVOKE_BY_DEVELOPER}:
                self.revoked = True
            elif operation.kind in ISSUING:
                self.revoked = self.lost = False
        elif operation.status == UNKNOWN and operation.key == self.newest:
            self.lost = True


def _request_of(operation: Operation) -> tuple[int, int, int | None]:
    return operation.key, operation.secret, operation.once


def register(servers: Iterable[Server], tokens: Tokens) -> RecordedAgent | None:
    """A new agent, at the first server that makes one."""
    for server in servers:
        with suppress(*BROKEN), Connection(server.port, PATIENCE) as connection:
            answer = connection.call("POST", "/v1/auth/agent-register", body={"name": "history"})
            if answer.status == 201:
                made = answer.json()
                pair = made["apiKey"], made["rotationSecret"]
                return RecordedAgent(made["agentId"], tokens, [pair])
    return None
