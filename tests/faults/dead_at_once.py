"""After a rotation's answer, no worker may accept either old credential, not even once."""

from keyturn.testing import running_server

from .connection import ROTATE, SELF, Connection
from .ledger import UNLIMITED, Agent, new_agent
from .outcome import Outcome
from .workers import spread

WORKERS = 4
CHECKS = 3
"""Requests to each worker after each rotation: every use that the old pair could be put to."""
AGENTS = 20
RUNS = 10_000


def run(runs: int, seed: int) -> Outcome:
    """Rotate `runs` times; after each, ask every worker at once. The seed chooses nothing here."""
    del seed
    outcome = Outcome()
    connections = WORKERS * (CHECKS + 1)
    with (
        running_server(workers=WORKERS, **UNLIMITED) as server,
        spread(server, connections) as held,
    ):
        rotating = [theirs.pop() for theirs in held.values()]
        agents = [new_agent(rotating[0]) for _ in range(AGENTS)]
        for number in range(runs):
            # Together the two indices run through every combination of agent and worker.
            agent = agents[number % AGENTS]
            worker = (number + number // AGENTS) % WORKERS
            _use_everywhere(agent, held, number, outcome)
            status = agent.rotate(rotating[worker])
            _ask_everybody(agent, held, number, outcome)
            if not outcome.check(status == 200, f"rotation {number}: {status}"):
                agents[number % AGENTS] = new_agent(rotating[worker])
            outcome.runs += 1
        outcome.note("workers that were asked", len(held))
    return outcome


def _use_everywhere(
    agent: Agent, held: dict[int, list[Connection]], number: int, outcome: Outcome
) -> None:
    """Have every worker accept the key while it is good: whoever keeps it keeps it from now on."""
    for theirs in held.values():
        theirs[0].send("GET", SELF, token=agent.keys[-1])
    for theirs in held.values():
        status = theirs[0].receive().status
        outcome.check(status == 200, f"rotation {number}: the good key answers {status}")


def _ask_everybody(
    agent: Agent, held: dict[int, list[Connection]], number: int, outcome: Outcome
) -> None:
    if len(agent.keys) < 2:
        return
    old_key, new_key = agent.keys[-2:]
    old = {"rotationSecret": agent.secrets[-2]}
    for theirs in held.values():
        theirs[0].send("GET", SELF, token=old_key)
        theirs[1].send("POST", ROTATE, token=new_key, body=old)
        theirs[2].send("POST", ROTATE, token=old_key, body=old)
    for theirs in held.values():
        for connection, use in zip(theirs, ("old key", "old secret", "old pair"), strict=True):
            status = connection.receive().status
            outcome.check(status == 401, f"rotation {number}: the {use} answers {status}")
