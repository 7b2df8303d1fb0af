"""Section 7: one entry for everything that changes security state, and for what was refused."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from .client import (
    TIME,
    UUID,
    Agent,
    Developer,
    Service,
    forged,
    ipv4,
    unique,
)

ENTRY = {
    "id", "at", "actor", "action", "outcome", "agentId", "developerId", "address", "userAgent",
    "requestId", "details",
}  # fmt: skip
AGENT_ID, DEVELOPER_ID = "agent", "developer"


@dataclass(frozen=True)
class Scene:
    """A developer with an agent, and how requests of the case identify themselves."""

    service: Service
    developer: Developer
    agent: Agent
    address: str
    user_agent: str

    def post(self, path: str, token: str | None = None, **content: object) -> httpx.Response:
        """POST as the case's client; `{}` in the path is the agent."""
        return self.call("POST", path, token, **content)

    def call(
        self, method: str, path: str, token: str | None = None, **content: object
    ) -> httpx.Response:
        """Any request as the case's client."""
        return self.service.call(
            method,
            path.format(self.agent.id),
            token=token or self.developer.token,
            address=self.address,
            headers={"User-Agent": self.user_agent},
            **content,
        )

    def own(self, call: str, secret: str = "", key: str = "") -> httpx.Response:
        """A rotation or revocation by the agent itself."""
        body = {"rotationSecret": secret or self.agent.secret}
        return self.post(f"/v1/agents/self/{call}", key or self.agent.key, json=body)

    def revoked(self) -> "Scene":
        """The scene with its agent revoked, by an operator elsewhere."""
        path = f"/v1/agents/{self.agent.id}/revoke"
        self.service.post(path, self.service.operator, json={"reason": "test"}).raise_for_status()
        return self


@pytest.fixture
def scene(service: Service, developer: Developer) -> Scene:
    """A fresh scene."""
    agent = service.create_agent(developer.token)
    return Scene(service, developer, agent, ipv4(), unique("client"))


Act = Callable[[Scene], httpx.Response]
DONE: dict[str, tuple[Act, str, str]] = {
    "creating": (lambda s: s.post("/v1/agents", json={}), "agent.created", "developer"),
    "renaming": (
        lambda s: s.call("PATCH", "/v1/agents/{}", json={"name": "x"}),
        "agent.updated",
        "developer",
    ),
    "rotating": (lambda s: s.own("rotate-key"), "credential.rotated", "agent"),
    "rotating it": (
        lambda s: s.post("/v1/agents/{}/rotate-key"),
        "credential.rotated",
        "developer",
    ),
    "revoking": (lambda s: s.own("revoke"), "agent.revoked", "agent"),
    "revoking it": (
        lambda s: s.post("/v1/agents/{}/revoke", json={"reason": "x"}),
        "agent.revoked",
        "developer",
    ),
    "reinstating": (
        lambda s: s.revoked().post("/v1/agents/{}/reinstate"),
        "agent.reinstated",
        "developer",
    ),
    "deleting": (lambda s: s.call("DELETE", "/v1/agents/{}"), "agent.deleted", "developer"),
    "configuring a secret": (
        lambda s: s.post("/v1/agents/{}/rotation-secret"),
        "rotation_secret.configured",
        "developer",
    ),
    "removing the secret": (
        lambda s: s.call("DELETE", "/v1/agents/{}/rotation-secret"),
        "rotation_secret.removed",
        "developer",
    ),
}
REFUSED: dict[str, tuple[Act, str, str, str]] = {
    "a wrong secret": (
        lambda s: s.own("rotate-key", forged("rs")),
        "credential.rotation_refused",
        "agent",
        "invalid_credentials",
    ),
    "a revoked agent": (
        lambda s: s.revoked().own("rotate-key"),
        "credential.rotation_refused",
        "agent",
        "agent_revoked",
    ),
    "a revoked agent rotated by its developer": (
        lambda s: s.revoked().post("/v1/agents/{}/rotate-key"),
        "credential.rotation_refused",
        "developer",
        "agent_revoked",
    ),
    "a wrong secret to revoke": (
        lambda s: s.own("revoke", forged("rs")),
        "agent.revoked",
        "agent",
        "invalid_credentials",
    ),
    "reinstating an active agent": (
        lambda s: s.post("/v1/agents/{}/reinstate"),
        "agent.reinstated",
        "developer",
        "agent_active",
    ),
    "giving credits": (
        lambda s: s.post("/v1/agents/{}/credits", json={"amount": 1, "reason": "x"}),
        "credits.changed",
        "developer",
        "operator_only",
    ),
    "a secret for a revoked agent": (
        lambda s: s.revoked().post("/v1/agents/{}/rotation-secret"),
        "rotation_secret.configured",
        "developer",
        "agent_revoked",
    ),
}


def _one_entry(scene: Scene, answer: httpx.Response) -> dict[str, object]:
    """The only entry that the request made, checked for what all entries have in common.

    That something retired was shown has an entry of its own.
    """
    made = [
        entry
        for entry in scene.service.audit(scene.developer.token)
        if entry["requestId"] == answer.headers["x-request-id"]
        and entry["action"] != "credential.reused"
    ]
    assert len(made) == 1
    entry = made[0]
    assert set(entry) == ENTRY
    assert (entry["address"], entry["userAgent"]) == (scene.address, scene.user_agent)
    assert entry["developerId"] == scene.developer.id
    assert TIME.fullmatch(entry["at"])
    assert isinstance(entry["details"], dict)
    return entry


@pytest.mark.parametrize("case", DONE)
def test_an_action_makes_one_entry(scene: Scene, case: str) -> None:
    act, action, actor = DONE[case]
    answer = act(scene)
    assert answer.is_success
    entry = _one_entry(scene, answer)
    agent_id = answer.json()["agentId"] if case == "creating" else scene.agent.id
    actor_id = agent_id if actor == "agent" else scene.developer.id
    assert (entry["action"], entry["outcome"]) == (action, "success")
    assert (entry["actor"], entry["agentId"]) == ({"kind": actor, "id": actor_id}, agent_id)


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_that_names_an_agent_makes_one_entry(scene: Scene, case: str) -> None:
    act, action, actor, reason = REFUSED[case]
    answer = act(scene)
    assert (answer.is_error, answer.json()["code"]) == (True, reason)
    entry = _one_entry(scene, answer)
    assert (entry["action"], entry["outcome"]) == (action, "refused")
    assert entry["agentId"] == scene.agent.id
    if actor == "developer":
        assert entry["actor"] == {"kind": "developer", "id": scene.developer.id}
    details = entry["details"]
    assert isinstance(details, dict) and details["reason"] == reason


def test_each_refusal_of_a_known_agent_has_its_own_entry(scene: Scene) -> None:
    for _ in range(3):
        scene.own("rotate-key", forged("rs"))
    action = "credential.rotation_refused"
    assert len(scene.service.audit(agentId=scene.agent.id, action=action)) == 3


def test_an_agent_without_a_secret_is_refused_with_an_entry(scene: Scene) -> None:
    scene.call("DELETE", "/v1/agents/{}/rotation-secret")
    entry = _one_entry(scene, scene.own("rotate-key"))
    assert entry["action"] == "credential.rotation_refused"
    details = entry["details"]
    assert isinstance(details, dict) and details["reason"] == "no_rotation_secret"


def test_a_registration_makes_one_entry(service: Service) -> None:
    answer = service.post("/v1/auth/agent-register", json={"name": "x"})
    made = answer.json()
    entries = service.audit(agentId=made["agentId"])
    assert [(e["action"], e["outcome"]) for e in entries] == [("agent.registered", "success")]
    assert entries[0]["requestId"] == answer.headers["x-request-id"]
    assert entries[0]["developerId"] == made["developerId"]
    assert entries[0]["actor"]["kind"] in {"anonymous", "agent"}


def test_credits_make_an_entry_of_the_operator(service: Service, agent: Agent) -> None:
    path = f"/v1/agents/{agent.id}/credits"
    service.post(path, service.operator, json={"amount": 5, "reason": "a gift"})
    refused = service.post(path, service.operator, json={"amount": -999, "reason": "no"})
    assert refused.json()["code"] == "insufficient_credits"
    entries = service.audit(agentId=agent.id, action="credits.changed")
    assert [entry["outcome"] for entry in entries] == ["refused", "success"]
    assert {entry["actor"]["kind"] for entry in entries} == {"developer"}
    assert UUID.fullmatch(entries[0]["actor"]["id"])


def test_developers_and_tokens_make_entries(scene: Scene) -> None:
    service, developer = scene.service, scene.developer
    made = scene.post("/v1/service-tokens", json={"name": "x"})
    gone = scene.call("DELETE", f"/v1/service-tokens/{made.json()['id']}")
    for answer in (made, gone):
        entry = _one_entry(scene, answer)
        assert str(entry["action"]).startswith("token.")
        assert entry["actor"] == {"kind": "developer", "id": developer.id}
    disabled = service.post(f"/v1/developers/{developer.id}/disable", service.operator)
    of_developer = [
        entry
        for entry in service.listed("/v1/audit", service.operator)
        if entry["developerId"] == developer.id and entry["action"].startswith("developer.")
    ]
    assert [entry["outcome"] for entry in of_developer] == ["success"] * 2
    assert of_developer[0]["requestId"] == disabled.headers["x-request-id"]


def test_a_developer_who_plays_operator_makes_an_entry(scene: Scene) -> None:
    answer = scene.post("/v1/developers", json={"email": "someone@example.com"})
    entry = _one_entry(scene, answer)
    assert (entry["outcome"], entry["details"]) == ("refused", {"reason": "operator_only"})
    assert str(entry["action"]).startswith("developer.")


def test_earlier_refusals_reads_and_empty_changes_make_none(scene: Scene) -> None:
    before = scene.service.audit(scene.developer.token)
    path = "/v1/agents/self/rotate-key"
    scene.service.whoami(scene.agent.key)
    scene.service.get("/v1/agents", scene.developer.token)
    scene.service.get("/v1/audit", scene.developer.token)
    scene.post(path, scene.agent.key, json={})
    scene.call("PUT", path, scene.agent.key, json={"rotationSecret": scene.agent.secret})
    scene.service.post(path, json={"rotationSecret": scene.agent.secret})
    scene.call("PATCH", "/v1/agents/{}", json={"name": ""})
    assert scene.service.audit(scene.developer.token) == before
