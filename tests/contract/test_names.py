"""Section 3: which names an agent may have, wherever it is named."""

import json
from collections.abc import Callable

import httpx
import pytest

from .client import Developer, Service, assert_names_member

Name = Callable[[Service, Developer, object], httpx.Response]


def _body(name: object) -> bytes:
    # ASCII with escapes: httpx's own encoder can't write lone surrogates.
    return json.dumps({"name": name}).encode()


def _register(service: Service, _: Developer, name: object) -> httpx.Response:
    return service.post("/v1/auth/agent-register", content=_body(name))


def _create(service: Service, developer: Developer, name: object) -> httpx.Response:
    return service.post("/v1/agents", developer.token, content=_body(name))


def _rename(service: Service, developer: Developer, name: object) -> httpx.Response:
    agent = service.create_agent(developer.token)
    path = f"/v1/agents/{agent.id}"
    answer = service.call("PATCH", path, token=developer.token, content=_body(name))
    if answer.is_error:
        assert service.inspect(agent.id)["agentName"] == agent.name
    return answer


PLACES = [_register, _create, _rename]

GOOD = {
    "one character": ("x", "x"),
    "a hundred characters": ("x" * 100, "x" * 100),
    "a hundred that are not in the basic plane": ("🔑" * 100, "🔑" * 100),
    "spaces around it": ("  my agent \t", "my agent"),
    "a hundred characters and spaces around them": (" " * 50 + "x" * 100 + " " * 50, "x" * 100),
    "spaces within": ("my   agent", "my   agent"),
    "emoji joined by a zero-width joiner": ("👩‍🚀 agent", "👩‍🚀 agent"),
    "Arabic": ("وكيل البحث", "وكيل البحث"),
    "Hebrew": ("סוכן", "סוכן"),
    "Chinese": ("研究代理", "研究代理"),
    "Persian with a zero-width non-joiner": ("نمی‌دانم", "نمی‌دانم"),
    "Hindi": ("अनुसंधान", "अनुसंधान"),
    "accents": ("Zoë Ångström", "Zoë Ångström"),
    "markup": ("<b>&amp;</b>", "<b>&amp;</b>"),
    "quotes of SQL": ("'; DROP TABLE agents; --", "'; DROP TABLE agents; --"),
    "a formula": ("=1+1", "=1+1"),
    "a backslash": ("a\\b", "a\\b"),
}
BAD = {
    "empty": "",
    "spaces only": "   ",
    "101 characters": "x" * 101,
    "101 that are not in the basic plane": "🔑" * 101,
    "NUL": "a\x00b",
    "a line feed": "a\nb",
    "a carriage return": "a\rb",
    "a tab": "a\tb",
    "an escape": "a\x1bb",
    "DEL": "a\x7fb",
    "a control character of Latin-1": "a\x85b",
    "the last control character": "a\x9fb",
    "a left-to-right embedding": "a\u202ab",
    "a right-to-left embedding": "a\u202bb",
    "a left-to-right override": "a\u202db",
    "a right-to-left override": "a\u202eb",
    "a left-to-right isolate": "a\u2066b",
    "a right-to-left isolate": "a\u2067b",
    "a first-strong isolate": "a\u2068b",
    "a high surrogate alone": "a\ud83db",
    "a low surrogate alone": "a\udd11b",
    "surrogates in the wrong order": "\udd11\ud83d",
    "a number": 5,
    "true": True,
    "a list": ["x"],
    "an object": {"x": "y"},
}


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("place", PLACES)
def test_a_good_name_is_kept_without_the_spaces_around_it(
    service: Service, developer: Developer, place: Name, case: str
) -> None:
    given, kept = GOOD[case]
    answer = place(service, developer, given)
    assert answer.is_success
    assert service.inspect(answer.json()["agentId"])["agentName"] == kept


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("place", PLACES)
def test_a_bad_name_is_refused(
    service: Service, developer: Developer, place: Name, case: str
) -> None:
    newest = service.get("/v1/agents?limit=1", service.operator).json()["items"]
    answer = place(service, developer, BAD[case])
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    if not case.startswith(("a high", "a low", "surrogates")):
        assert_names_member(answer, "name")
    if place is not _rename:
        after = service.get("/v1/agents?limit=1", service.operator).json()["items"]
        assert after == newest


def test_a_name_reaches_every_place_unchanged(service: Service, developer: Developer) -> None:
    name = "Zoë 🔑 <b> 研究"
    agent = service.create_agent(developer.token, name=name)
    listed = service.get("/v1/agents", developer.token).json()["items"][0]["agentName"]
    itself = service.whoami(agent.key).json()["agentName"]
    rotated = service.rotate(agent.key, agent.secret).json()["agentName"]
    assert {agent.name, listed, itself, rotated} == {name}
