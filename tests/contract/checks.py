"""The four checks of section 6, each as one word about a key."""

from collections.abc import Callable

import httpx

from .client import Agent, Service

Check = Callable[[Service, str, str], str]
"""What the service says to the bearer of a service token about a key."""

FORWARD = "/v1/forward-auth"
VERIFY = "/v1/keys/verify"
BATCH = "/v1/keys/verify-batch"
INTROSPECT = "/v1/introspect"
BY_TOKEN = [VERIFY, BATCH, INTROSPECT]


def _forward_auth(service: Service, _: str, key: str) -> str:
    return {200: "valid", 401: "invalid", 403: "revoked"}[service.forward(key).status_code]


def _verify(service: Service, token: str, key: str) -> str:
    return verdict(service.verify(token, key).raise_for_status().json())


def _verify_batch(service: Service, token: str, key: str) -> str:
    answer = service.verify_batch(token, key).raise_for_status()
    [item] = answer.json()["items"]
    return verdict(item)


def _introspect(service: Service, token: str, key: str) -> str:
    answer = service.introspect(token, key).raise_for_status()
    return "valid" if answer.json()["active"] else "invalid"


CHECKS: dict[str, Check] = {
    "forward-auth": _forward_auth,
    "verify": _verify,
    "verify-batch": _verify_batch,
    "introspect": _introspect,
}


def verdict(item: dict[str, object]) -> str:
    """The word `valid`, or the code for why not."""
    return "valid" if item["valid"] is True else str(item["code"])


def verdicts(service: Service, token: str, key: str) -> dict[str, str]:
    """What each check says about the key."""
    return {name: check(service, token, key) for name, check in CHECKS.items()}


def everywhere(word: str) -> dict[str, str]:
    """The same word by every check; introspection has one word for all that is not active."""
    told = dict.fromkeys(CHECKS, word)
    return told | {"introspect": "invalid"} if word == "revoked" else told


def ask(service: Service, path: str, token: str | None, agent: Agent) -> httpx.Response:
    """A call of one of the routes that take a service token, whatever comes back."""
    if path == INTROSPECT:
        return service.introspect(token, agent.key)
    body = {"key": agent.key} if path == VERIFY else {"keys": [{"key": agent.key}]}
    return service.post(path, token, json=body)
