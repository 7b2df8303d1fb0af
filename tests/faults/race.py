"""Many rotations of one agent at the same moment: exactly one may succeed."""

from itertools import zip_longest

from keyturn.testing import Server, running_server

from .connection import ROTATE, Connection
from .ledger import UNLIMITED, new_agent, trail
from .outcome import Outcome
from .workers import spread

WORKERS = 4
CALLS = 25
RUNS = 200


def run(runs: int, seed: int) -> Outcome:
    """Race 25 calls over 4 workers `runs` times. The seed has no part in it: the kernel decides."""
    del seed
    outcome = Outcome()
    with running_server(workers=WORKERS, **UNLIMITED) as server:
        # Before there are connections, which are not kept for long while nothing is asked.
        operator = server.create_developer("race@example.com", operator=True).token
        with spread(server, CALLS) as held:
            # Neighbours in the list belong to different workers, so that the calls interleave.
            turns = zip_longest(*held.values())
            connections = [connection for turn in turns for connection in turn if connection]
            for number in range(runs):
                _race(server, operator, connections, number, outcome)
                outcome.runs += 1
            outcome.note("workers that took part", len(held))
    return outcome


def _race(
    server: Server, operator: str, connections: list[Connection], number: int, outcome: Outcome
) -> None:
    with Connection(server.port) as bystander:
        agent = new_agent(bystander)
        for connection in connections:
            body = {"rotationSecret": agent.secrets[0]}
            connection.send("POST", ROTATE, token=agent.keys[0], body=body, hold=True)
        for connection in connections:
            connection.release()
        answers = [connection.receive() for connection in connections]
        statuses = sorted(answer.status for answer in answers)
        outcome.check(
            statuses == [200] + [401] * (len(connections) - 1), f"race {number}: {statuses}"
        )
        record = bystander.call("GET", f"/v1/agents/{agent.id}", token=operator).json()
        outcome.check(
            record["generation"] == 2, f"race {number}: generation {record['generation']}"
        )
        entries = trail(bystander, operator, agentId=agent.id, action="credential.rotated")
        outcome.check(len(entries) == 1, f"race {number}: {len(entries)} entries of rotations")
        for won in (answer.json() for answer in answers if answer.status == 200):
            status = bystander.rotate(won["apiKey"], won["rotationSecret"]).status
            outcome.check(status == 200, f"race {number}: the acknowledged pair gets {status}")
