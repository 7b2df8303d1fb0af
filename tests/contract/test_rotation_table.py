"""Section 3: each row of the decision table, and which of two rows wins."""

import itertools
import json
from dataclasses import dataclass, field

import httpx
import pytest

from .client import (
    INVALID_CREDENTIALS,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_problem,
    forged,
    ipv4,
    unique,
)

ROTATE = "/v1/agents/self/rotate-key"
NOT_PROVIDED = "rotationSecret not provided"
TOO_MANY = "Too many rotation attempts (max 3 per 15 minutes)"
NO_SECRET = "No rotation secret configured"

# In the table's order: what is wrong with the request, and its status, code and detail. Of a
# repeat nothing is wrong: it has its answer again.
ROWS = {
    "wrong method": (405, "method_not_allowed", ""),
    "large body": (413, "body_too_large", ""),
    "duplicate member": (400, "invalid_request", ""),
    "no bearer": (401, "invalid_credentials", INVALID_CREDENTIALS),
    "no rotation secret": (400, "rotation_secret_required", NOT_PROVIDED),
    "bad idempotency key": (400, "invalid_idempotency_key", ""),
    "a repeat": (200, "", ""),
    "repeated too often": (429, "too_many_replays", ""),
    "attempts spent": (429, "too_many_rotation_attempts", TOO_MANY),
    "retired key": (401, "invalid_credentials", INVALID_CREDENTIALS),
    "revoked": (403, "agent_revoked", "Agent revoked"),
    "none configured": (403, "no_rotation_secret", NO_SECRET),
    "wrong secret": (401, "invalid_credentials", INVALID_CREDENTIALS),
    "earlier idempotency key": (422, "idempotency_key_reused", ""),
}
REPEATS = {"a repeat": 0, "repeated too often": 20}
"""How often it was repeated before."""
IMPOSSIBLE = [
    {"no bearer", "retired key"},
    {"no rotation secret", "wrong secret"},
    {"bad idempotency key", "earlier idempotency key"},
    # What ends a receipt, or asks for another pair than a repeat has.
    *(
        {repeat, other}
        for repeat in REPEATS
        for other in (
            *("repeated too often", "bad idempotency key", "retired key", "revoked"),
            *("none configured", "wrong secret", "earlier idempotency key"),
        )
    ),
]
PAIRS = [pair for pair in itertools.combinations(ROWS, 2) if set(pair) not in IMPOSSIBLE]


@dataclass
class Request:
    """A rotation with things wrong with it."""

    service: Service
    developer: Developer
    faults: tuple[str, ...]
    address: str = field(default_factory=ipv4)
    key: str = field(default_factory=lambda: unique("an-idempotency-key-of-a-row"))

    def agent(self) -> Agent:
        """The agent that the request is about, in the state that the faults ask for."""
        configured = "none configured" not in self.faults
        agent = self._rotated(configured=configured)
        for fault, call in (("retired key", "rotate-key"), ("revoked", "revoke")):
            if fault in self.faults:
                path = f"/v1/agents/{agent.id}/{call}"
                done = self.service.post(path, self.developer.token, json={"reason": "test"})
                done.raise_for_status()
                new_secret = done.json().get("rotationSecret") or agent.secret
                agent = Agent(agent.id, agent.name, agent.key, new_secret)
        if "attempts spent" in self.faults:
            for _ in range(3):
                self.service.rotate(forged("ak"), forged("rs"), address=self.address)
        return agent

    def _rotated(self, *, configured: bool) -> Agent:
        """A new agent; where the faults need it, with a rotation that had the idempotency key."""
        rotates = "earlier idempotency key" in self.faults
        agent = self.service.create_agent(self.developer.token, secret=configured or rotates)
        if rotates:
            agent = after_rotation(agent, self._rotate(agent))
        for repeat in REPEATS.keys() & set(self.faults):
            for _ in range(1 + REPEATS[repeat]):
                self._rotate(agent).raise_for_status()
        if agent.secret and not configured:
            path = f"/v1/agents/{agent.id}/rotation-secret"
            self.service.call("DELETE", path, token=self.developer.token).raise_for_status()
            agent = Agent(agent.id, agent.name, agent.key, "")
        return agent

    def _rotate(self, agent: Agent) -> httpx.Response:
        headers = {"Idempotency-Key": self.key}
        return self.service.rotate(agent.key, agent.secret, headers=headers)

    def body(self, agent: Agent) -> bytes:
        """The JSON text, written by hand so that members can be there twice."""
        right = agent.secret if agent.secret and "wrong secret" not in self.faults else forged("rs")
        members = [] if "no rotation secret" in self.faults else [("rotationSecret", right)]
        members += [("x", "1")] * 2 * ("duplicate member" in self.faults)
        members += [("pad", "x" * 8192)] * ("large body" in self.faults)
        return f"{{{','.join(f'{json.dumps(n)}:{json.dumps(v)}' for n, v in members)}}}".encode()

    def send(self, agent: Agent) -> httpx.Response:
        """The service's answer."""
        bad = "bad idempotency key" in self.faults
        keyed = {*REPEATS, "earlier idempotency key"} & set(self.faults)
        return self.service.call(
            "PUT" if "wrong method" in self.faults else "POST",
            ROTATE,
            token=None if "no bearer" in self.faults else agent.key,
            headers={"Idempotency-Key": "short" if bad else self.key} if bad or keyed else {},
            content=self.body(agent),
            address=self.address,
        )


def _refused(service: Service, developer: Developer, faults: tuple[str, ...]) -> httpx.Response:
    request = Request(service, developer, faults)
    agent = request.agent()
    before = service.inspect(agent.id)
    answer = request.send(agent)
    assert service.inspect(agent.id) == before
    return answer


def _assert_row(answer: httpx.Response, row: str) -> None:
    if row == "a repeat":
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    else:
        assert_problem(answer, *ROWS[row])


@pytest.mark.parametrize("fault", ROWS)
def test_each_row_of_the_table(service: Service, developer: Developer, fault: str) -> None:
    _assert_row(_refused(service, developer, (fault,)), fault)


@pytest.mark.parametrize("pair", PAIRS, ids=" before ".join)
def test_the_earlier_row_wins(
    service: Service, developer: Developer, pair: tuple[str, str]
) -> None:
    _assert_row(_refused(service, developer, pair), pair[0])


def test_without_a_fault_it_is_200(service: Service, developer: Developer) -> None:
    request = Request(service, developer, ())
    assert request.send(request.agent()).status_code == 200


NOT_SECRETS = [
    b"", b"null", b"[]", b"7", b'"text"', b"true", b"{}", b'["rotationSecret"]', b"{",
    b'{"rotationSecret": null}', b'{"rotationSecret": ""}', b'{"rotationSecret": 5}',
    b'{"rotationSecret": {}}', b'{"rotationSecret": ["sk_live_rs_"]}', b'{"rotationSecret": true}',
    b'{"RotationSecret": "sk_live_rs_"}', b'{"rotation_secret": "sk_live_rs_"}', b"not json",
]  # fmt: skip


@pytest.mark.parametrize("body", NOT_SECRETS)
def test_a_body_without_a_rotation_secret(service: Service, agent: Agent, body: bytes) -> None:
    for key in (agent.key, forged("ak")):
        answer = service.post(ROTATE, key, content=body)
        assert_problem(answer, 400, "rotation_secret_required", NOT_PROVIDED)
    assert service.whoami(agent.key).json()["generation"] == 1


UNKNOWN_SECRETS = ["x", " ", "sk_live_rs_", "\x00", "🔑" * 100, "x" * 8000, "Bearer x"]


@pytest.mark.parametrize("text", UNKNOWN_SECRETS)
def test_any_other_text_is_a_wrong_secret(service: Service, agent: Agent, text: str) -> None:
    answer = service.rotate(agent.key, text)
    assert_problem(answer, 401, "invalid_credentials", INVALID_CREDENTIALS)


def test_a_secret_with_spaces_around_it_is_wrong(service: Service, agent: Agent) -> None:
    answer = service.rotate(agent.key, f" {agent.secret} ")
    assert_problem(answer, 401, "invalid_credentials", INVALID_CREDENTIALS)


def _shape(answer: httpx.Response) -> tuple[object, ...]:
    body = {name: value for name, value in answer.json().items() if name != "requestId"}
    names = sorted(answer.headers.keys())
    return answer.status_code, body, names, answer.headers["www-authenticate"]


def test_unknown_keys_and_wrong_secrets_look_the_same(
    service: Service, developer: Developer
) -> None:
    agent = service.create_agent(developer.token)
    retired, first_secret = agent.key, agent.secret
    rotated = service.rotate(agent.key, agent.secret).json()
    key, secret = rotated["apiKey"], rotated["rotationSecret"]
    bad_checksum = forged("ak")[:-6] + "000000"
    answers = [
        service.rotate(forged("ak"), secret),
        service.rotate(forged("ak"), forged("rs")),
        service.rotate(bad_checksum, secret),
        service.rotate("anything", secret),
        service.rotate(secret, secret),
        service.rotate(retired, first_secret),
        service.rotate(retired, secret),
        service.rotate(key, forged("rs")),
        service.rotate(key, first_secret),
        service.rotate(key, "anything"),
        service.rotate(key, key),
    ]
    shapes = [_shape(answer) for answer in answers]
    assert shapes == [shapes[0]] * len(shapes)
    assert shapes[0][0] == 401


IDEMPOTENCY_KEYS = {
    "of 21 characters": (b"k" * 21, 400),
    "empty": (b"", 400),
    "of 22 characters": (b"k" * 22, 200),
    "of 255 characters": (b"k" * 255, 200),
    "of 256 characters": (b"k" * 256, 400),
    "with a space": (b"k" * 20 + b" " + b"k" * 20, 400),
    "with a tab": (b"k" * 20 + b"\t" + b"k" * 20, 400),
    "not in ASCII": (("ö" * 30).encode(), 400),
    "of every kind of punctuation": (b"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", 200),
}


@pytest.mark.parametrize("case", IDEMPOTENCY_KEYS)
def test_an_idempotency_key_has_22_to_255_visible_characters(
    service: Service, agent: Agent, case: str
) -> None:
    key, status = IDEMPOTENCY_KEYS[case]
    answer = service.rotate(agent.key, agent.secret, headers=[("Idempotency-Key", key)])
    assert answer.status_code == status
    if status == 400:
        assert_problem(answer, 400, "invalid_idempotency_key")
        assert service.whoami(agent.key).json()["generation"] == 1
