"""A short HTTP client of the contract, for tests: it knows the routes and asserts nothing.

Only what `assert_problem` says about errors is judged here; everything else is in the tests.
"""

import itertools
import random
import re
import secrets
import string
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KINDS = ("ak", "rs", "dt", "sv", "en")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ABSENT_ID = "00000000-0000-4000-8000-000000000000"
CREDENTIAL = re.compile(r"[0-9A-Za-z]{45,49}")
INVALID_CREDENTIALS = "Invalid API key or invalid rotation secret"
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "error", "requestId"}

# One client for all services, closed with the session: making one costs as much as many calls.
HTTP = httpx.Client(timeout=30, verify=False, trust_env=False)
ANOTHER_CONNECTION = {"Connection": "close"}

_numbers = itertools.count()
_run = secrets.token_hex(4)

Found = TypeVar("Found")
Headers = Mapping[str, str] | Sequence[tuple[str, str | bytes]]


def checksum(text: str) -> str:
    """The CRC-32 of `text` in base62, padded with zeros to six characters."""
    number, digits = zlib.crc32(text.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits.rjust(6, "0")


def forged(kind: str, prefix: str = "sk_live") -> str:
    """A well-formed credential that nobody issued."""
    unsigned = f"{prefix}_{kind}_" + "".join(secrets.choice(BASE62) for _ in range(43))
    return unsigned + checksum(unsigned)


def unique(word: str) -> str:
    """`word` with a suffix that no other test has."""
    return f"{word}-{_run}-{next(_numbers)}"


def ipv4() -> str:
    """An IPv4 address that no other test uses."""
    return ".".join(["203", *(str(random.randrange(1, 255)) for _ in range(3))])


def ipv6() -> str:
    """An IPv6 address in a /64 that no other test uses."""
    return f"2001:db8:{random.randrange(1, 65536):x}:{random.randrange(1, 65536):x}::1"


class Secret(str):
    """A text that a test which fails does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{self[:11]}…"


@dataclass(frozen=True)
class Agent:
    """An agent with its present credentials; without a rotation secret `secret` is empty."""

    id: str
    name: str
    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Developer:
    """A developer and a token that speaks for them."""

    id: str
    email: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Service:
    """One Keyturn, seen from outside.

    With `proxied` the service trusts us as a proxy; each call then has an address of its own.
    With `other`, the URL of a second server of the same service, each call goes to either.
    """

    url: str
    operator: str = field(repr=False)
    proxied: bool = True
    other: str = ""

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        address: str | None = None,
        headers: Headers = (),
        **content: Any,
    ) -> httpx.Response:
        """One request. `content` is httpx's `json`, `data`, `content` or `params`."""
        sent: list[Any] = list(headers.items() if isinstance(headers, Mapping) else headers)
        if token is not None:
            sent.append(("Authorization", f"Bearer {token}"))
        if address or self.proxied:
            sent.append(("X-Forwarded-For", address or ipv6()))
        url = random.choice((self.url, self.other or self.url))
        return HTTP.request(method, url + path, headers=sent, **content)

    def get(self, path: str, token: str | None = None, **content: Any) -> httpx.Response:
        """GET `path`."""
        return self.call("GET", path, token=token, **content)

    def post(self, path: str, token: str | None = None, **content: Any) -> httpx.Response:
        """POST to `path`."""
        return self.call("POST", path, token=token, **content)

    def register(self, name: str | None = None, **content: Any) -> Agent:
        """A new agent that registered itself."""
        body = {"name": name or unique("agent"), **content}
        return _agent(self.post("/v1/auth/agent-register", json=body))

    def create_agent(self, token: str, *, secret: bool = True, name: str | None = None) -> Agent:
        """A new agent of the developer that `token` belongs to."""
        body = {"name": name or unique("agent"), "rotationSecret": secret}
        return _agent(self.post("/v1/agents", token, json=body))

    def create_developer(self, *, operator: bool = False) -> Developer:
        """A new developer."""
        email = f"{unique('someone')}@example.com"
        body = {"email": email, "operator": operator}
        made = self.post("/v1/developers", self.operator, json=body)
        made.raise_for_status()
        return Developer(made.json()["developerId"], email, Secret(made.json()["token"]))

    def create_token(self, kind: str, token: str, **content: Any) -> dict[str, Any]:
        """A new "developer", "service" or "enrolment" token, as its creator sees it."""
        made = self.post(f"/v1/{kind}-tokens", token, json={"name": unique("token"), **content})
        made.raise_for_status()
        shown: dict[str, Any] = made.json()
        return {**shown, "token": Secret(shown["token"])}

    def rotate(self, key: str, secret: str, **content: Any) -> httpx.Response:
        """A rotation by an agent."""
        body = {"rotationSecret": secret}
        return self.post("/v1/agents/self/rotate-key", key, json=body, **content)

    def revoke_self(self, key: str, secret: str, **content: Any) -> httpx.Response:
        """A revocation by an agent."""
        body = {"rotationSecret": secret}
        return self.post("/v1/agents/self/revoke", key, json=body, **content)

    def whoami(self, key: str) -> httpx.Response:
        """What an agent's key says about the agent."""
        return self.get("/v1/agents/self", key)

    def forward(
        self, key: str | None = None, method: str = "GET", **content: Any
    ) -> httpx.Response:
        """What a proxy asks about its visitor's request."""
        return self.call(method, "/v1/forward-auth", token=key, **content)

    def verify(
        self, token: str, key: object, cost: object = None, **content: Any
    ) -> httpx.Response:
        """A service, with its token, asks whose API key this is; without `cost` it names none."""
        body = {"key": key} if cost is None else {"key": key, "cost": cost}
        return self.post("/v1/keys/verify", token, json=body, **content)

    def verify_batch(self, token: str, *keys: object, **content: Any) -> httpx.Response:
        """As `verify`, for objects of `key` and perhaps `cost`; a text is a key without a cost."""
        body = {"keys": [{"key": key} if isinstance(key, str) else key for key in keys]}
        return self.post("/v1/keys/verify-batch", token, json=body, **content)

    def introspect(self, token: str | None, key: str, **content: Any) -> httpx.Response:
        """A service, with its token, asks in the words of RFC 7662."""
        return self.post("/v1/introspect", token, data={"token": key}, **content)

    def change_credits(self, agent: Agent, amount: int) -> None:
        """An operator gives credits, or takes them."""
        body = {"amount": amount, "reason": "test"}
        path = f"/v1/agents/{agent.id}/credits"
        self.post(path, self.operator, json=body).raise_for_status()

    def balance(self, agent: Agent) -> int:
        """The agent's credits, as an operator sees them."""
        credits: int = self.inspect(agent.id)["creditBalance"]
        return credits

    def inspect(self, agent_id: str) -> dict[str, Any]:
        """What an operator sees of an agent, without when and from where it was last used."""
        seen = self.get(f"/v1/agents/{agent_id}", self.operator)
        seen.raise_for_status()
        shown: dict[str, Any] = seen.json()
        for member in ("lastUsedAt", "lastUsedAddress"):
            shown.pop(member, None)
        return shown

    def listed(self, path: str, token: str, **params: Any) -> list[dict[str, Any]]:
        """Everything on all pages of a list."""
        items: list[dict[str, Any]] = []
        page: dict[str, Any] = {"limit": 200, **params}
        while True:
            answer = self.get(path, token, params=page)
            answer.raise_for_status()
            items += answer.json()["items"]
            if answer.json()["nextCursor"] is None:
                return items
            page["cursor"] = answer.json()["nextCursor"]

    def audit(self, token: str | None = None, **params: Any) -> list[dict[str, Any]]:
        """The trail that `token` (else the operator) sees, newest first."""
        return self.listed("/v1/audit", token or self.operator, **params)


def after_rotation(agent: Agent, answer: httpx.Response) -> Agent:
    """The agent with the credentials of a successful rotation."""
    answer.raise_for_status()
    made = answer.json()
    return _with_pair(agent.id, agent.name, made)


def eventually(found: Callable[[], Found | None]) -> Found:
    """The first result of `found` that is something, within 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError("it never came")


def _agent(answer: httpx.Response) -> Agent:
    answer.raise_for_status()
    made = answer.json()
    return _with_pair(made["agentId"], made["name"], made)


def _with_pair(id: str, name: str, made: dict[str, Any]) -> Agent:
    return Agent(id, name, Secret(made["apiKey"]), Secret(made["rotationSecret"] or ""))


def assert_problem(answer: httpx.Response, status: int, code: str, detail: str = "") -> None:
    """`answer` is the contract's error in every respect, and nothing more.

    `detail` is the exact sentence, where the contract has one.
    """
    shown = CREDENTIAL.sub("…", answer.text)[:300]
    assert answer.status_code == status, f"{answer.status_code} {shown}"
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == PROBLEM_MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"] == body["error"] == (detail or body["detail"])
    assert all(isinstance(body[name], str) and body[name] for name in PROBLEM_MEMBERS - {"status"})
    assert body["requestId"] == answer.headers["x-request-id"]


def assert_unavailable(answer: httpx.Response) -> None:
    """`answer` is the contract's 503, and says when to ask again."""
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def assert_names_member(answer: httpx.Response, member: str) -> None:
    """`answer` is 400 `invalid_request` and tells the caller which member is at fault."""
    assert_problem(answer, 400, "invalid_request")
    assert member in answer.json()["detail"]
