"""The machine: each rule does one thing to the server and to the model, and compares the answers.

After every step all credentials ever issued, and all that is kept of every agent, are compared.
"""

from collections import Counter

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from .mixes import KEYS, SECRETS, key_for, secret_for
from .model import CREATED, NO_CONTENT, NOBODY, NOT_FOUND, OK, Answer, Model
from .world import World

ROTATE = "/v1/agents/self/rotate-key"
REVOKE = "/v1/agents/self/revoke"

MOST_AGENTS = 3
"""Few of them, so that each has a life."""
INTERRUPTIONS = 1
"""How often the server may stop in one example; each takes as long as twenty other steps."""

may_interrupt = precondition(lambda self: self.interruptions < INTERRUPTIONS)
may_have_more = precondition(lambda self: len(self.model.agents) < MOST_AGENTS)


def answer(response: httpx.Response) -> Answer:
    """What the model compares: the status, and the code of a refusal."""
    code = response.json()["code"] if response.status_code >= 400 else None
    return (response.status_code, code)


class Machine(RuleBasedStateMachine):
    """Rules over the agents of one example; the server is the whole run's."""

    world: World
    agents = Bundle("agents")
    keys = st.sampled_from(KEYS)
    secrets = st.sampled_from(SECRETS)

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.interruptions = 0

    @may_have_more
    @rule(target=agents)
    def register(self) -> str:
        response = self.world.call("POST", "/v1/auth/agent-register", body={"name": "stateful"})
        return self._born(response, "agent.registered")

    @may_have_more
    @rule(target=agents, with_secret=st.booleans())
    def create(self, with_secret: bool) -> str:
        body = {"name": "stateful", "rotationSecret": with_secret}
        response = self.world.call("POST", "/v1/agents", self.world.operator, body)
        assert (response.json()["rotationSecret"] is not None) == with_secret
        return self._born(response, "agent.created")

    @rule(agent_id=agents)
    def rotate(self, agent_id: str) -> None:
        self._rotate(agent_id, agent_id, "current", "current")

    @rule(agent_id=agents, other_id=agents, key=keys, secret=secrets)
    def rotate_with_any_mix(self, agent_id: str, other_id: str, key: str, secret: str) -> None:
        self._rotate(agent_id, other_id, key, secret)

    @rule(agent_id=agents)
    def revoke_oneself(self, agent_id: str) -> None:
        self._revoke_oneself(agent_id, agent_id, "current", "current")

    @rule(agent_id=agents, other_id=agents, key=keys, secret=secrets)
    def revoke_oneself_with_any_mix(
        self, agent_id: str, other_id: str, key: str, secret: str
    ) -> None:
        self._revoke_oneself(agent_id, other_id, key, secret)

    @rule(agent_id=agents)
    def developer_rotates(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, OK, wants="active", code="agent_revoked")
        response = self._manage("POST", agent_id, "/rotate-key", expected)
        if expected == OK:
            configured = self.model.agents[agent_id].secret is not None
            assert (response.json()["rotationSecret"] is not None) == configured
            self._new_pair(agent_id, response, "credential.rotated")

    @rule(agent_id=agents)
    def developer_revokes(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, OK)
        self._manage("POST", agent_id, "/revoke", expected, {"reason": "stateful"})
        if expected == OK:
            self.model.ended(agent_id, "revoked", "agent.revoked")

    @rule(agent_id=agents)
    def developer_reinstates(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, OK, wants="revoked", code="agent_active")
        response = self._manage("POST", agent_id, "/reinstate", expected)
        if expected == OK:
            self._new_pair(agent_id, response, "agent.reinstated")

    @rule(agent_id=agents)
    def developer_configures_a_secret(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, CREATED, wants="active", code="agent_revoked")
        response = self._manage("POST", agent_id, "/rotation-secret", expected)
        if expected == CREATED:
            key, secret = self.model.agents[agent_id].key, response.json()["rotationSecret"]
            self.model.changed(agent_id, "rotation_secret.configured", key, secret)

    @rule(agent_id=agents)
    def developer_removes_the_secret(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, NO_CONTENT)
        self._manage("DELETE", agent_id, "/rotation-secret", expected)
        agent = self.model.agents[agent_id]
        if expected == NO_CONTENT and agent.secret is not None:
            status = agent.status
            self.model.changed(agent_id, "rotation_secret.removed", agent.key, None)
            agent.status = status

    @rule(agent_id=agents)
    def developer_deletes(self, agent_id: str) -> None:
        expected = self.model.manage(agent_id, NO_CONTENT)
        self._manage("DELETE", agent_id, "", expected)
        if expected == NO_CONTENT:
            self.model.ended(agent_id, "deleted", "agent.deleted")

    @rule(agent_id=agents, amount=st.sampled_from((-101, -100, -1, 1, 100)))
    def operator_changes_credits(self, agent_id: str, amount: int) -> None:
        agent = self.model.agents[agent_id]
        enough = agent.credits + amount >= 0
        success: Answer = OK if enough else (409, "insufficient_credits")
        expected = self.model.manage(agent_id, success)
        body = {"amount": amount, "reason": "stateful"}
        self._manage("POST", agent_id, "/credits", expected, body)
        if expected == OK:
            agent.credits += amount
            agent.trail["credits.changed"] += 1

    @rule(
        agent_id=agents,
        call=st.sampled_from(
            (
                "GET",
                "DELETE",
                "POST /rotate-key",
                "POST /revoke",
                "POST /reinstate",
                "POST /rotation-secret",
                "DELETE /rotation-secret",
            )
        ),
    )
    def stranger_tries(self, agent_id: str, call: str) -> None:
        method, _, rest = call.partition(" ")
        response = self.world.call(method, f"/v1/agents/{agent_id}{rest}", self.world.stranger)
        assert answer(response) == NOT_FOUND

    @may_interrupt
    @rule()
    def restart_the_server(self) -> None:
        self._interrupt(kill=False, new_key=False)

    @may_interrupt
    @rule()
    def crash_the_server(self) -> None:
        self._interrupt(kill=True, new_key=False)

    @may_interrupt
    @rule()
    def add_a_server_key(self) -> None:
        self._interrupt(kill=False, new_key=True)

    @invariant()
    def every_key_is_accepted_exactly_as_the_model_says(self) -> None:
        for agent in self.model.agents.values():
            # A use would end the answer that was lost: it has a rule of its own.
            for key in (*agent.retired[0], *([] if agent.lost else [agent.key])):
                response = self.world.call("GET", "/v1/agents/self", key)
                assert answer(response) == self.model.check(key)

    @invariant()
    def everything_kept_of_each_agent_is_as_the_model_says(self) -> None:
        for agent_id, agent in self.model.agents.items():
            response = self.world.call("GET", f"/v1/agents/{agent_id}", self.world.operator)
            seen_by_developer = answer(response)
            assert seen_by_developer == self.model.manage(agent_id, OK), seen_by_developer
            if agent.status != "deleted":
                seen = response.json()
                assert seen["status"] == agent.status
                assert seen["generation"] == agent.generation
                assert seen["creditBalance"] == agent.credits
                assert seen["rotationSecretConfigured"] == (agent.secret is not None)
            recorded = Counter(
                entry["action"]
                for entry in self.world.trail(agent_id)
                if entry["outcome"] == "success"
            )
            assert recorded == agent.trail

    def teardown(self) -> None:
        """No retired secret works beside the current key, and the current pair does."""
        for agent in self.model.agents.values():
            if self.model.prove(agent.key, agent.secret) != OK:
                continue
            for secret in (*agent.retired[1], agent.secret):
                body = {"rotationSecret": secret}
                response = self.world.call("POST", ROTATE, agent.key, body)
                assert answer(response) == (OK if secret == agent.secret else NOBODY)

    def _interrupt(self, *, kill: bool, new_key: bool) -> None:
        self.interruptions += 1
        self.world.interrupt(kill=kill, new_key=new_key)

    def _born(self, response: httpx.Response, action: str) -> str:
        assert answer(response) == CREATED
        made = response.json()
        self.model.born(made["agentId"], made["apiKey"], made["rotationSecret"], action)
        return str(made["agentId"])

    def _rotate(self, agent_id: str, other_id: str, key: str, secret: str) -> None:
        response, held = self._prove(ROTATE, agent_id, other_id, key, secret)
        if response.status_code == 200:
            assert held is not None
            assert response.json()["agentId"] == held
            self._new_pair(held, response, "credential.rotated")

    def _revoke_oneself(self, agent_id: str, other_id: str, key: str, secret: str) -> None:
        response, held = self._prove(REVOKE, agent_id, other_id, key, secret)
        if response.status_code == 200:
            assert held is not None
            assert response.json() == {"agentId": held, "status": "revoked"}
            self.model.ended(held, "revoked", "agent.revoked")

    def _prove(
        self, path: str, agent_id: str, other_id: str, key: str, secret: str
    ) -> tuple[httpx.Response, str | None]:
        agent, other = self.model.agents[agent_id], self.model.agents[other_id]
        token = key_for(key, agent, other, self.world.operator)
        shown = secret_for(secret, agent, other)
        response = self.world.call("POST", path, token, {"rotationSecret": shown})
        assert answer(response) == self.model.prove(token, shown)
        return response, self.model.holder(token)

    def _new_pair(self, agent_id: str, response: httpx.Response, action: str) -> None:
        made = response.json()
        self.model.changed(agent_id, action, made["apiKey"], made["rotationSecret"])

    def _manage(
        self, method: str, agent_id: str, rest: str, expected: Answer, body: object = None
    ) -> httpx.Response:
        path = f"/v1/agents/{agent_id}{rest}"
        response = self.world.call(method, path, self.world.operator, body)
        assert answer(response) == expected
        return response
