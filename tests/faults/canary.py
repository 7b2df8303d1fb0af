"""No credential may be found anywhere but with its holder, whatever careless clients did."""

import base64
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from keyturn.testing import Server, running_server

from . import misplaced
from .connection import BROKEN, ROTATE, SELF, Answer, Connection
from .ledger import UNLIMITED
from .misplaced import ALPHABET, KINDS, Call, made_up
from .outcome import Outcome
from .scan import byte_findings, credential_needles, disguises, files, text_findings

RUNS = 10
CREDENTIAL = re.compile(rb"sk_live_(?:ak|rs|dt|sv|en)_[0-9A-Za-z]{49}")
ISSUING = re.compile(
    r"/v1/(auth/agent-register|agents(/[^/]+/(rotate-key|rotation-secret|reinstate))?"
    r"|(enrolment|service|developer)-tokens|developers)"
)
"""Paths of POST requests whose answer shows a credential, this once."""
READING = (
    "/metrics",
    "/v1/audit?limit=200",
    "/v1/audit/export?format=jsonl",
    "/v1/audit/export?format=csv",
    "/v1/agents?limit=200",
    "/v1/developers?limit=200",
    "/v1/developer-tokens?limit=200",
    "/v1/service-tokens?limit=200",
    "/v1/enrolment-tokens?limit=200",
)


def run(runs: int, seed: int) -> Outcome:
    """Go on the tour `runs` times, with a crash after half of them, and search every byte."""
    choice = random.Random(seed)
    outcome = Outcome()
    with running_server(**UNLIMITED) as server:
        operator = server.create_developer("canary@example.com", operator=True).token
        tour = Tour(server, operator, choice, outcome)
        tour.collect(server.run("service", "create", "--name", "canary", "--json").stdout.encode())
        for number in range(runs):
            tour.go()
            outcome.runs += 1
            if number == runs // 2:
                tour.search("before the crash")
                server.kill()
                tour.search("after the crash")
                server.start()
        tour.search("at the end")
        server.stop()
        tour.search("after the end")
    return outcome


class Tour:
    """Visits every route with credentials in right and wrong places, and remembers all of them."""

    def __init__(
        self, server: Server, operator: str, choice: random.Random, outcome: Outcome
    ) -> None:
        self._server = server
        self._operator = operator
        self._choice = choice
        self._outcome = outcome
        self._credentials = {operator}
        self._idempotency_keys: dict[bytes, str] = {}
        self._planted = self._random_text()
        self._shown: dict[str, bytes] = defaultdict(bytes)

    def collect(self, content: bytes) -> None:
        """Remember every credential in output that is meant to show one."""
        self._credentials.update(match.decode() for match in CREDENTIAL.findall(content))

    def go(self) -> None:
        """Issue every kind of credential, use each, misuse each, and read what is left of it."""
        agent_id, key, secret = self._rotate()
        tokens = [self._issue(kind) for kind in ("developer", "service", "enrolment")]
        unknown = [made_up(kind, self._choice) for kind in KINDS]
        self._credentials.update(unknown)
        for it in (key, secret, *tokens, *unknown):
            self._visit(misplaced.as_bearer(it))
            self._visit(misplaced.in_the_address(it))
            self._visit(misplaced.in_headers(it))
            self._visit(misplaced.in_bodies(it, self._operator))
            self._visit(misplaced.on_an_agent(it, self._operator, agent_id))
            misplaced.not_http(self._server.port, it)
        self._visit(Call("GET", path, token=self._operator) for path in READING)

    def search(self, when: str) -> None:
        """Search every file, the log and all that was shown; and prove that the search can find."""
        folder = self._server.data_dir
        places = {
            **self._shown,
            **files(folder, but="server-key"),
            "the log": self._server.log_path.read_bytes(),
        }
        wanted = credential_needles(self._credentials) | self._idempotency_keys
        keys = _server_keys(folder / "server-key")
        found = [*text_findings(wanted, places), *byte_findings(keys, places)]
        self._outcome.violations += [f"{finding}, {when}" for finding in found]
        self._outcome.points += (len(wanted) + len(keys)) * len(places)
        self._outcome.note("bytes searched", sum(map(len, places.values())))
        planted = text_findings({self._planted.encode(): "planted"}, places)
        self._outcome.check(
            any("keyturn.db" in finding for finding in planted), f"the search is blind, {when}"
        )
        self._outcome.check(bool(keys), "there is no server key to look for")

    def _rotate(self) -> tuple[str, str, str]:
        """Register an agent under a name that the search must find, and rotate it."""
        named = {"name": f"canary {self._planted}"}
        agent = self._call(Call("POST", "/v1/auth/agent-register", None, named, self._idem()))
        old = agent.json()
        body = {"rotationSecret": old["rotationSecret"]}
        rotated = self._call(Call("POST", ROTATE, old["apiKey"], body, self._idem()))
        self.collect(rotated.body)
        new = rotated.json()
        self._visit(
            (
                Call("POST", ROTATE, old["apiKey"], body, self._idem()),
                Call("POST", ROTATE, new["apiKey"], body, self._idem()),
                Call("GET", SELF, token=old["apiKey"]),
                Call("GET", SELF, token=new["apiKey"]),
            )
        )
        return new["agentId"], new["apiKey"], new["rotationSecret"]

    def _issue(self, kind: str) -> str:
        made = self._call(Call("POST", f"/v1/{kind}-tokens", self._operator, {}, self._idem()))
        return str(made.json()["token"])

    def _idem(self) -> dict[str, str]:
        key = self._random_text()
        self._idempotency_keys |= dict.fromkeys(disguises(key.encode()), "an idempotency key")
        return {"Idempotency-Key": key}

    def _random_text(self) -> str:
        return "".join(self._choice.choices(ALPHABET, k=43))

    def _visit(self, calls: Iterable[Call]) -> None:
        for call in calls:
            self._call(call)

    def _call(self, call: Call) -> Answer:
        try:
            with Connection(self._server.port) as connection:
                answer = connection.call(
                    call.method, call.path, token=call.token, body=call.body, headers=call.headers
                )
        except BROKEN:
            # A server may close the connection on what is not HTTP; it must not have crashed.
            answer = Answer(0, {}, b"")
        route = call.path.partition("?")[0]
        issuing = call.method == "POST" and ISSUING.fullmatch(route) and answer.status < 300
        if issuing:
            self.collect(answer.body)
        else:
            shown = f"{sorted(answer.headers.items())}\n".encode() + answer.body
            self._shown[f"an answer {answer.status} to {call.method}"] += shown
        self._outcome.check(answer.status < 500, f"{call.method} is answered {answer.status}")
        return answer


def _server_keys(file: Path) -> dict[str, bytes]:
    keys = (line.partition(":")[2] for line in file.read_text().split())
    return {
        f"server key {number}": base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        for number, key in enumerate(keys, start=1)
    }
