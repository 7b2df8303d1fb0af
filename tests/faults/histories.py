"""Short histories of many clients at several servers on one PostgreSQL: some order explains each.

Four servers are one service. Eight clients rotate, check, revoke, repeat and look, often with the
same pair at the same moment and at once again elsewhere, while servers and their connections are
killed. What each agent's clients saw must be what one agent would have answered to one request
after the other (linearizability; the agent is `agent_model`).
"""

import contextlib
import random
import threading
import time

from keyturn.testing import Server
from tests.postgres import Cluster, running_cluster

from .agent_model import CHECKS, GOOD, Kind, Operation, explain, told
from .fleet import Fleet, running_fleet
from .outcome import Outcome
from .recorded_agent import PATIENCE, RecordedAgent, Shown, register

AGENTS = 2
CLIENTS = 8
TURNS = 12
"""Of each client in a history; in some it asks for more than one thing."""
FAULTS = 4
"""At most, in one history."""
RUNS = 1000
CHANGES = (*[Kind.ROTATE_BY_DEVELOPER] * 4, Kind.REVOKE, *[Kind.REVOKE_BY_DEVELOPER] * 2)
GIVES_UP = 0.04
"""The share of clients that hang up before they can have an answer."""


def run(
    runs: int,
    seed: int,
    *,
    server: type[Server] = Server,
    cluster: Cluster | None = None,
    until_seen: bool = False,
) -> Outcome:
    """Record and explain that many histories; `until_seen` ends it with the first violation."""
    outcome = Outcome()
    started = running_cluster() if cluster is None else contextlib.nullcontext(cluster)
    with started as database, running_fleet(server, database) as fleet:
        for number in range(runs):
            _record(fleet, f"{seed} {number}", outcome)
            outcome.runs += 1
            if until_seen and outcome.violations:
                break
        fleet.note(outcome)
    return outcome


def _record(fleet: Fleet, name: str, outcome: Outcome) -> None:
    """One history. Its name decides what the clients choose and when faults come."""
    choice = random.Random(name)
    agents = [_new_agent(fleet) for _ in range(AGENTS)]
    clients = [Client(fleet, agents, f"{name} {number}", number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for count in sorted(
        choice.randrange(CLIENTS * TURNS) for _ in range(choice.randint(0, FAULTS))
    ):
        while sum(len(agent.operations) for agent in agents) < count and _any_alive(clients):
            time.sleep(0.001)
        fleet.strike(choice)
    for client in clients:
        client.join()
        outcome.check(client.failure is None, f"history {name}: a client {client.failure!r}")
    last = Client(fleet, agents, f"{name} last", CLIENTS)
    for number, agent in enumerate(agents):
        last.look_around(agent)
        order = explain(agent.history())
        asked = agent.operations
        outcome.check(not order.stuck, f"history {name}, agent {number}: {told(order)}")
        outcome.note("operations", len(asked))
        outcome.note("of unknown outcome", sum(it.returned is None for it in asked))
        outcome.note("changes of credentials", order.state.generation - 1)
        outcome.note("places searched", order.looked_at)


def _any_alive(clients: list["Client"]) -> bool:
    return any(client.is_alive() for client in clients)


def _new_agent(fleet: Fleet) -> RecordedAgent:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if agent := register(fleet.servers, fleet.tokens):
            return agent
        time.sleep(0.05)
    raise TimeoutError("no server registers an agent")


class Client(threading.Thread):
    """Asks one thing after the other, of any agent, at any server."""

    def __init__(self, fleet: Fleet, agents: list[RecordedAgent], seed: str, number: int) -> None:
        super().__init__(daemon=True)
        self._fleet = fleet
        self._agents = agents
        self._choice = random.Random(seed)
        self._number = number
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for _ in range(TURNS):
                self._do_something(self._choice.choice(self._agents))
        except Exception as error:  # Such as an answer without what it must have.
            self.failure = error

    def look_around(self, agent: RecordedAgent) -> None:
        """How it ended: what the developer sees, and every pair, at any server."""
        known = range(1, agent.newest + 1)
        for kind, key in [(Kind.LOOK, 0), *((Kind.VERIFY, key) for key in known)]:
            for _ in range(5):
                operation = self._ask(agent, kind, Shown(key))
                if operation is not None and operation.returned is not None:
                    break

    def _do_something(self, agent: RecordedAgent) -> None:
        choice, roll = self._choice, self._choice.random()
        if agent.in_doubt or roll < 0.35:
            self._check(agent)
        elif roll < 0.4:
            self._ask(agent, Kind.LOOK, Shown())
        elif agent.revoked and roll < 0.6:
            self._ask(agent, Kind.REINSTATE, Shown())
        elif agent.lost and roll < 0.6:
            self._ask(agent, Kind.ROTATE_BY_DEVELOPER, Shown())
        elif roll < 0.65:
            self._misuse(agent)
        elif roll < 0.75:
            self._repeat(agent)
        elif roll < 0.8:
            kind = choice.choice(CHANGES)
            pair = agent.newest if kind is Kind.REVOKE else 0
            self._ask(agent, kind, Shown(pair, pair))
            self._repeat(agent)
        else:
            self._rotate(agent)

    def _rotate(self, agent: RecordedAgent) -> None:
        """As others may do with the same pair now; then look at once elsewhere what came of it."""
        pair, choice = agent.newest, self._choice
        wish = choice.random()
        once = None
        if wish < 0.3:
            once = agent.shared.setdefault(pair, agent.new_idempotency_key())
        elif wish < 0.6:
            once = agent.new_idempotency_key()
        server = self._server()
        operation = self._ask(agent, Kind.ROTATE, Shown(pair, pair, once), server)
        if operation is not None and operation.status == GOOD:
            for _ in range(choice.randint(0, 3)):
                again = once is not None and choice.random() < 0.4
                kind = Kind.ROTATE if again else choice.choice(CHECKS)
                shown = Shown(pair, pair, once) if again else Shown(pair)
                self._ask(agent, kind, shown, self._server(but=server))

    def _repeat(self, agent: RecordedAgent) -> None:
        """A rotation that somebody has asked for, most likely one without an answer."""
        asked = [it for it in agent.operations if it.once is not None]
        unknown = [it for it in asked if it.returned is None]
        if again := unknown[-1:] or [it for it in asked if it.status == GOOD][-2:]:
            chosen = self._choice.choice(again)
            self._ask(agent, Kind.ROTATE, Shown(chosen.key, chosen.secret, chosen.once))

    def _misuse(self, agent: RecordedAgent) -> None:
        """A pair that is retired, or is none."""
        key, secret = (self._recent(agent) for _ in range(2))
        kind = self._choice.choice([Kind.ROTATE, Kind.ROTATE, Kind.REVOKE])
        if key != agent.newest or secret != key:
            self._ask(agent, kind, Shown(key, secret))

    def _check(self, agent: RecordedAgent) -> None:
        self._ask(agent, self._choice.choice(CHECKS), Shown(self._recent(agent)))

    def _recent(self, agent: RecordedAgent) -> int:
        return max(1, agent.newest - self._choice.choice([0, 0, 1, 1, 2]))

    def _ask(
        self, agent: RecordedAgent, kind: Kind, shown: Shown, server: Server | None = None
    ) -> Operation | None:
        choice = self._choice
        patience = choice.uniform(0.002, 0.03) if choice.random() < GIVES_UP else PATIENCE
        server = server or self._server()
        who = f"client {self._number} at server {self._fleet.servers.index(server) + 1}"
        return agent.ask(server, who, kind, shown, choice, patience)

    def _server(self, but: Server | None = None) -> Server:
        return self._choice.choice([it for it in self._fleet.servers if it is not but])
