"""What the service promises, as briefly as it can be said: who accepts what, and what is recorded.

An answer is a status and an error code (None where it succeeds).
"""

from collections import Counter
from dataclasses import dataclass, field

Answer = tuple[int, str | None]

OK: Answer = (200, None)
CREATED: Answer = (201, None)
NO_CONTENT: Answer = (204, None)
NOBODY: Answer = (401, "invalid_credentials")
REVOKED: Answer = (403, "agent_revoked")
NOT_FOUND: Answer = (404, "agent_not_found")


@dataclass
class Agent:
    """One agent. `retired` has what it held before, as (keys, secrets)."""

    key: str = field(repr=False)
    secret: str | None = field(repr=False)
    status: str = "active"
    generation: int = 1
    credits: int = 100
    retired: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []), repr=False)
    trail: Counter[str] = field(default_factory=Counter)
    # The idempotency keys of its rotations; the request that has its last answer again.
    asked: list[str] = field(default_factory=list, repr=False)
    lost: tuple[str, str | None, str] | None = field(default=None, repr=False)
    replays: int = 0


class Model:
    """Every agent that ever was, by id; a deleted one keeps its trail and nothing else."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}

    def born(self, agent_id: str, key: str, secret: str | None, action: str) -> None:
        self.agents[agent_id] = Agent(key, secret, trail=Counter([action]))

    def changed(self, agent_id: str, action: str, key: str, secret: str | None) -> None:
        """A change of credentials: whatever is not the same as before is retired."""
        agent = self.agents[agent_id]
        keys, secrets = agent.retired
        keys += [agent.key] if key != agent.key else []
        secrets += [agent.secret] if agent.secret and agent.secret != secret else []
        agent.key, agent.secret, agent.status, agent.lost = key, secret, "active", None
        agent.generation += 1
        agent.trail[action] += 1

    def ended(self, agent_id: str, status: str, action: str) -> None:
        """Revoked or deleted. What is so already has nothing recorded again."""
        agent = self.agents[agent_id]
        if agent.status != status:
            agent.status, agent.lost = status, None
            agent.trail[action] += 1

    def holder(self, key: str | None) -> str | None:
        """The agent whose current key this is."""
        for agent_id, agent in self.agents.items():
            if agent.key == key and agent.status != "deleted":
                return agent_id
        return None

    def check(self, key: str | None) -> Answer:
        """The answer to a request with this API key."""
        holder = self.holder(key)
        if holder is None:
            return NOBODY
        return REVOKED if self.agents[holder].status == "revoked" else OK

    def prove(self, key: str | None, secret: object, asked: str | None = None) -> Answer:
        """The answer to a rotation, or an agent's own revocation, with these credentials."""
        if key is None:
            return NOBODY
        if not isinstance(secret, str) or not secret:
            return (400, "rotation_secret_required")
        lost = [agent for agent in self.agents.values() if agent.lost == (key, secret, asked)]
        if lost:
            return OK if lost[0].replays < 20 else (429, "too_many_replays")
        if self.check(key) != OK:
            return self.check(key)
        agent = self.agents[str(self.holder(key))]
        if agent.secret is None:
            return (403, "no_rotation_secret")
        matched: Answer = (422, "idempotency_key_reused") if asked in agent.asked else OK
        return matched if secret == agent.secret else NOBODY

    def manage(self, agent_id: str, success: Answer, *, wants: str = "", code: str = "") -> Answer:
        """The answer to its developer, where only an agent of status `wants` can have it."""
        agent = self.agents[agent_id]
        if agent.status == "deleted":
            return NOT_FOUND
        return (409, code) if wants not in {"", agent.status} else success
