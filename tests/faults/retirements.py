"""Everything that retires a credential, each with how to see that it stays dead."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from tests.contract.client import Agent, Service, after_rotation

Dead = Callable[[], bool]
"""Whether what was retired is refused."""


@dataclass
class Retirement:
    """Something that is alive when a copy is made, and retired afterwards by `retire`.

    `agents` are those whose developer has to give them new credentials when the copy comes back.
    """

    name: str
    retire: Callable[[], None]
    dead: list[Dead] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)


def refused(answer: httpx.Response) -> bool:
    return answer.status_code in {401, 403}


def retirements(service: Service) -> Iterator[Retirement]:
    """One of each kind, alive."""
    yield _rotation(service)
    yield _by_developer(service, "rotated by a developer", "rotate-key")
    yield _by_developer(service, "revoked", "revoke", mended=False)
    yield _by_developer(service, "reinstated", "revoke", "reinstate")
    yield _by_developer(service, "another secret", "rotation-secret", key_dies=False)
    yield _deletion(service)
    yield _self_revocation(service)
    yield _secret_removal(service)
    yield from _tokens(service)
    yield _developer(service)


def pair_is_dead(service: Service, agent: Agent) -> Dead:
    return lambda: refused(service.rotate(agent.key, agent.secret))


def key_is_dead(service: Service, agent: Agent) -> Dead:
    return lambda: refused(service.whoami(agent.key))


def _rotation(service: Service) -> Retirement:
    agent = service.register()
    made = Retirement("rotated", lambda: None, agents=[agent.id])

    def retire() -> None:
        current = agent
        for _ in range(3):
            made.dead += [key_is_dead(service, current), pair_is_dead(service, current)]
            current = after_rotation(current, service.rotate(current.key, current.secret))

    made.retire = retire
    return made


def _by_developer(
    service: Service, name: str, *calls: str, mended: bool = True, key_dies: bool = True
) -> Retirement:
    agent = service.register()

    def retire() -> None:
        for call in calls:
            path = f"/v1/agents/{agent.id}/{call}"
            service.post(path, service.operator, json={"reason": ""}).raise_for_status()

    dead = [pair_is_dead(service, agent), *([key_is_dead(service, agent)] if key_dies else [])]
    return Retirement(name, retire, dead, [agent.id] if mended else [])


def _deletion(service: Service) -> Retirement:
    agent = service.register()
    path = f"/v1/agents/{agent.id}"
    return Retirement(
        "deleted",
        lambda: _succeed(service.call("DELETE", path, token=service.operator)),
        [
            key_is_dead(service, agent),
            lambda: service.get(path, service.operator).status_code == 404,
        ],
    )


def _self_revocation(service: Service) -> Retirement:
    agent = service.register()
    return Retirement(
        "revoked by itself",
        lambda: _succeed(service.revoke_self(agent.key, agent.secret)),
        [key_is_dead(service, agent), pair_is_dead(service, agent)],
    )


def _secret_removal(service: Service) -> Retirement:
    agent = service.register()
    path = f"/v1/agents/{agent.id}/rotation-secret"
    return Retirement(
        "secret removed",
        lambda: _succeed(service.call("DELETE", path, token=service.operator)),
        [pair_is_dead(service, agent)],
        [agent.id],
    )


def _tokens(service: Service) -> Iterator[Retirement]:
    checker = service.create_token("service", service.operator)
    developers = service.create_token("developer", service.operator)
    enrolment = service.create_token("enrolment", service.operator)
    spent = service.create_token("enrolment", service.operator)
    body = {"enrolmentToken": spent["token"]}

    def delete(kind: str, identifier: str) -> Callable[[], None]:
        path = f"/v1/{kind}-tokens/{identifier}"
        return lambda: _succeed(service.call("DELETE", path, token=service.operator))

    def enrol(token: str) -> httpx.Response:
        return service.post("/v1/auth/agent-register", json={"enrolmentToken": token})

    yield Retirement(
        "service token deleted",
        delete("service", checker["id"]),
        [lambda: refused(service.verify(checker["token"], "x"))],
    )
    yield Retirement(
        "developer token deleted",
        delete("developer", developers["id"]),
        [lambda: refused(service.get("/v1/agents", developers["token"]))],
    )
    yield Retirement(
        "enrolment token deleted",
        delete("enrolment", enrolment["id"]),
        [lambda: refused(enrol(enrolment["token"]))],
    )
    yield Retirement(
        "enrolment token spent",
        lambda: _succeed(service.post("/v1/auth/agent-register", json=body)),
        [lambda: refused(enrol(spent["token"]))],
    )


def _developer(service: Service) -> Retirement:
    developer = service.create_developer()
    path = f"/v1/developers/{developer.id}/disable"
    return Retirement(
        "developer disabled",
        lambda: _succeed(service.post(path, service.operator)),
        [lambda: refused(service.get("/v1/agents", developer.token))],
    )


def _succeed(answer: httpx.Response) -> None:
    answer.raise_for_status()
