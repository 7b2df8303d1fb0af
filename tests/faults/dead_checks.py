"""After a rotation's answer, no check of any worker may call the old key good, not even once.

The checks come as fast as a connection carries them, by the hundred in one piece, so that some
meet every moment after the rotation.
"""

import json

from keyturn.testing import Server, running_server

from .connection import Connection
from .ledger import UNLIMITED, Agent, new_agent
from .outcome import Outcome
from .workers import spread

WORKERS = 2
AGENTS = 20
CHECKS = 500
"""Forward authentications of the old key that each worker gets after each rotation."""
RUNS = 10_000


def run(runs: int, seed: int) -> Outcome:
    """Rotate `runs` times; after each, ask every worker. The seed chooses nothing here."""
    del seed
    outcome = Outcome()
    with running_server(workers=WORKERS, **UNLIMITED) as server:
        service = _service_token(server)
        with spread(server, 2 * WORKERS) as held:
            rotating = [theirs.pop() for theirs in held.values()]
            asked = [theirs[0] for theirs in held.values()]
            agents = [new_agent(rotating[0]) for _ in range(AGENTS)]
            for number in range(runs):
                agent = agents[number % AGENTS]
                status = agent.rotate(rotating[number % WORKERS])
                if outcome.check(status == 200, f"rotation {number}: {status}"):
                    _ask_everybody(agent, asked, service, f"rotation {number}", outcome)
                outcome.runs += 1
    outcome.note("checks of dead keys", outcome.runs * WORKERS * (CHECKS + 2))
    return outcome


def _service_token(server: Server) -> str:
    made = server.run("service", "create", "--name", "checks", "--json")
    return str(json.loads(made.stdout)["token"])


def _ask_everybody(
    agent: Agent, asked: list[Connection], service: str, when: str, outcome: Outcome
) -> None:
    old, new = agent.keys[-2:]
    messages = [_admit(old)] * CHECKS + [_verify(service, old), _introspect(service, old)]
    messages += [_admit(new), _verify(service, new)]
    for connection in asked:
        connection.send_pipelined(messages)
    for connection in asked:
        answers = connection.receive_pipelined(len(messages))
        admitted = [answer.status for answer in answers[:CHECKS]]
        outcome.points += CHECKS - 1
        outcome.check(set(admitted) == {401}, f"{when}: the old key is admitted")
        verified, introspected, good, valid = answers[CHECKS:]
        outcome.check(not verified.json()["valid"], f"{when}: the old key is valid")
        outcome.check(not introspected.json()["active"], f"{when}: the old key is active")
        outcome.check(good.status == 200, f"{when}: the new key is not admitted")
        outcome.check(valid.json()["valid"], f"{when}: the new key is not valid")


def _admit(key: str) -> bytes:
    return _message("GET", "/v1/forward-auth", key, b"")


def _verify(service: str, key: str) -> bytes:
    return _message("POST", "/v1/keys/verify", service, json.dumps({"key": key}).encode())


def _introspect(service: str, key: str) -> bytes:
    return _message("POST", "/v1/introspect", service, b"token=" + key.encode())


def _message(method: str, path: str, token: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{head}{length}\r\n".encode() + body
