"""A Keyturn in memory, as far as an agent sees it, with faults on demand. Nothing is secret here.

It answers values, so that an operation can be tested without sockets; `served()` puts it on a
loopback port for the tests that need real ones.
"""

import contextlib
import http.server
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from keyturn.client.effects import Answer, Lost
from keyturn.core.credential import Credential, Kind

PROBLEM = {"content-type": "application/problem+json"}
JSON = {"content-type": "application/json"}

Fault = Callable[["FakeKeyturn", httpx.Request], Answer | Lost]


def credential(kind: Kind, prefix: str = "sk_live") -> str:
    return Credential.generate(kind, prefix, secrets.token_bytes).reveal()


def problem(status: int, code: str, *, detail: str = "", **headers: str) -> Answer:
    body = {"status": status, "code": code, "detail": detail or code.replace("_", " ")}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, httpx.Headers(PROBLEM | sent), json.dumps(body).encode())


def success(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, httpx.Headers(JSON), json.dumps(body).encode())


@dataclass
class FakeKeyturn:
    """One agent and its server. `faults` are used up one by one, before anything else."""

    agent_id: str = "280af1d0-66c4-49c9-b6f1-f64046ef8cfc"
    key: str = field(default_factory=lambda: credential(Kind.API_KEY))
    secret: str = field(default_factory=lambda: credential(Kind.ROTATION_SECRET))
    generation: int = 1
    status: str = "active"
    faults: list[Fault] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)
    period: timedelta = timedelta(days=7)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    receipt: tuple[tuple[str, str, str], Answer] | None = None
    registered: dict[str, Answer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: httpx.Request) -> Answer | Lost:
        with self.lock:
            self.asked.append(request)
            if self.faults:
                return self.faults.pop(0)(self, request)
            return self.decide(request)

    def decide(self, request: httpx.Request) -> Answer:
        match request.method, request.url.path:
            case "POST", "/v1/agents/self/rotate-key":
                return self._rotate(request)
            case "POST", "/v1/auth/agent-register":
                return self._register(request)
            case "GET", "/v1/agents/self":
                return self._show(request)
            case "POST", "/v1/agents/self/revoke":
                return self._revoke(request)
            case _:
                return problem(404, "not_found")

    def rotations(self) -> list[httpx.Request]:
        return [asked for asked in self.asked if asked.url.path.endswith("rotate-key")]

    def _proven(self, request: httpx.Request) -> bool:
        pair = bearer(request), json.loads(request.content)["rotationSecret"]
        return pair == (self.key, self.secret)

    def _rotate(self, request: httpx.Request) -> Answer:
        told = bearer(request), json.loads(request.content)["rotationSecret"], idempotency(request)
        if self.receipt is not None and told[2] and told == self.receipt[0]:
            return self.receipt[1]
        if not self._proven(request):
            return problem(401, "invalid_credentials")
        if self.status != "active":
            return problem(403, f"agent_{self.status}")
        self.key, self.secret = credential(Kind.API_KEY), credential(Kind.ROTATION_SECRET)
        self.generation += 1
        self.created_at = self.now()
        made = success(200, self._pair() | {"agentName": "agent"})
        self.receipt = told, made
        return made

    def _register(self, request: httpx.Request) -> Answer:
        made = success(201, self._pair() | {"name": "agent"})
        return self.registered.setdefault(idempotency(request), made)

    def _pair(self) -> dict[str, str]:
        return {"agentId": self.agent_id, "apiKey": self.key, "rotationSecret": self.secret}

    def _show(self, request: httpx.Request) -> Answer:
        if bearer(request) != self.key:
            return problem(401, "invalid_credentials")
        if self.status == "revoked":
            return problem(403, "agent_revoked")
        self.receipt = None
        return success(
            200,
            {
                "agentId": self.agent_id,
                "agentName": "agent",
                "status": self.status,
                "generation": self.generation,
                "keyCreatedAt": self.created_at.isoformat(),
                "rotationDueAt": (self.created_at + self.period).isoformat(),
                "rotationSecretConfigured": True,
                "creditBalance": 100,
            },
        )

    def _revoke(self, request: httpx.Request) -> Answer:
        if not self._proven(request):
            return problem(401, "invalid_credentials")
        self.status = "revoked"
        return success(200, {"agentId": self.agent_id, "status": "revoked"})


def bearer(request: httpx.Request) -> str:
    sent: str = request.headers.get("authorization", "")
    return sent.removeprefix("Bearer ")


def idempotency(request: httpx.Request) -> str:
    sent: str = request.headers.get("idempotency-key", "")
    return sent.strip('"')


def answer_is_lost(fake: FakeKeyturn, request: httpx.Request) -> Lost:
    """The server does it, and nobody hears of it."""
    fake.decide(request)
    return Lost("ReadTimeout")


def never_arrives(fake: FakeKeyturn, request: httpx.Request) -> Lost:
    del fake, request
    return Lost("ConnectError")


def answer_is_cut(fake: FakeKeyturn, request: httpx.Request) -> Answer:
    whole = fake.decide(request)
    return Answer(whole.status, whole.headers, whole.body[: len(whole.body) // 2])


def says(answer: Answer) -> Fault:
    """Instead of doing anything."""
    return lambda *_: answer


@contextlib.contextmanager
def served(fake: FakeKeyturn) -> Iterator[str]:
    """The fake's address while it listens. A lost answer is a connection that is closed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("content-length", 0))
            request = httpx.Request(
                self.command,
                f"http://{self.headers['host']}{self.path}",
                headers=list(self.headers.items()),
                content=self.rfile.read(length),
            )
            answer = fake.answer(request)
            if isinstance(answer, Lost):
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = handle_one  # noqa: N815 (the names are http.server's)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
