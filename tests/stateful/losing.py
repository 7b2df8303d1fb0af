"""More rules: rotations whose answer is lost, and every way to ask for it again."""

import secrets
import time

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from .machine import ROTATE, Machine, answer
from .model import NOBODY, OK, Agent

FORMS = ("bare", "quoted", "wrong", "absent", "longer", "shorter", "earlier")
OFTEN = 10
"""How many of an agent's repeats are made after each step; the rest is for the rules."""
PATIENCE = 5.0
"""Seconds within which the first use of a new key ends the answer to its rotation."""


class Losing(Machine):
    """The machine, with clients that lose answers."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, tuple[str, str | None, str, bytes]] = {}
        """Of each agent the last rotation that had an idempotency key: request and answer."""

    @rule(agent_id=Machine.agents)
    def lose_an_answer(self, agent_id: str) -> None:
        agent = self.model.agents[agent_id]
        key, secret, asked = agent.key, agent.secret, secrets.token_hex(16)
        expected = self.model.prove(key, secret, asked)
        response = self._ask(key, secret, asked)
        assert answer(response) == expected
        if expected == OK:
            assert "Idempotency-Replayed" not in response.headers
            self._new_pair(agent_id, response, "credential.rotated")
            agent.asked.append(asked)
            agent.lost, agent.replays = (key, secret, asked), 0
            self.last[agent_id] = (key, secret, asked, response.content)

    @rule(agent_id=Machine.agents, other_id=Machine.agents, form=st.sampled_from(FORMS))
    def ask_again(self, agent_id: str, other_id: str, form: str) -> None:
        agent = self.model.agents[agent_id]
        if agent_id in self.last:
            key, secret, asked, _ = self.last[agent_id]
            self._repeat(agent_id, key, secret, form_of(form, asked, agent))
            if other_id in self.last and other_id != agent_id:
                self._repeat(agent_id, key, secret, self.last[other_id][2])

    @rule(agent_id=Machine.agents)
    def use_the_new_key(self, agent_id: str) -> None:
        agent = self.model.agents[agent_id]
        response = self.world.call("GET", "/v1/agents/self", agent.key)
        assert answer(response) == self.model.check(agent.key)
        if agent.lost is None:
            return
        deadline = time.monotonic() + PATIENCE
        while answer(response := self._ask(*agent.lost)) != NOBODY:
            assert time.monotonic() < deadline, "the answer outlives the first use"
            self._count(agent, response)
            time.sleep(0.2)
        agent.lost = None

    @invariant()
    def the_last_answer_comes_again_exactly_while_the_model_says(self) -> None:
        for agent_id, (key, secret, asked, _) in self.last.items():
            agent = self.model.agents[agent_id]
            if agent.lost is None or agent.replays < OFTEN:
                self._repeat(agent_id, key, secret, asked)
            self._repeat(agent_id, agent.key, agent.secret, asked)

    def _repeat(self, agent_id: str, key: str, secret: str | None, asked: str | None) -> None:
        agent = self.model.agents[agent_id]
        bare = asked.strip('"') if asked else None
        expected = self.model.prove(key, secret, bare)
        response = self._ask(key, secret, asked)
        assert answer(response) == expected
        if expected == OK:
            assert (response.content == self.last[agent_id][3]) is True
            assert response.headers["Idempotency-Replayed"] == "true"
            self._count(agent, response)

    def _count(self, agent: Agent, response: httpx.Response) -> None:
        if response.status_code == 200:
            agent.replays += 1
            agent.trail["credential.rotation_replayed"] += 1

    def _ask(self, key: str, secret: str | None, asked: str | None) -> httpx.Response:
        return self.world.call("POST", ROTATE, key, {"rotationSecret": secret}, asked)


def form_of(form: str, asked: str, agent: Agent) -> str | None:
    """An idempotency key that is this one, or nearly, or not at all."""
    return {
        "bare": asked,
        "quoted": f'"{asked}"',
        "wrong": secrets.token_hex(16),
        "absent": None,
        "longer": asked + "0",
        "shorter": asked[:-1],
        "earlier": agent.asked[0],
    }[form]
