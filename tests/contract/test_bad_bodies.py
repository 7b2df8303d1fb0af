"""Malformed JSON of every sort, sent to every route: an error, and no change."""

import json

import pytest

from .client import Agent, Developer, Service, assert_names_member, assert_problem, forged
from .routes import CALLS, filled

ROUTES = {
    "registering": ("POST", "/v1/auth/agent-register"),
    "creating": ("POST", "/v1/agents"),
    "changing": ("PATCH", "/v1/agents/{}"),
    "credits": ("POST", "/v1/agents/{}/credits"),
    "revoking": ("POST", "/v1/agents/{}/revoke"),
    "developers": ("POST", "/v1/developers"),
    "enrolment tokens": ("POST", "/v1/enrolment-tokens"),
    "service tokens": ("POST", "/v1/service-tokens"),
    "developer tokens": ("POST", "/v1/developer-tokens"),
    "removing the secret": ("DELETE", "/v1/agents/{}/rotation-secret"),
    "deleting": ("DELETE", "/v1/agents/{}"),
    "rotating": ("POST", "/v1/agents/{}/rotate-key"),
}
NOT_OBJECTS = {
    "null": b"null",
    "an array": b"[]",
    "an array of objects": b'[{"name": "x"}]',
    "a number": b"7",
    "a string": b'"name"',
    "true": b"true",
    "a number of 5000 digits": b"7" * 5000,
    "half an object": b'{"name": "x"',
    "two objects": b'{"name": "x"}{"name": "y"}',
    "something after the object": b'{"name": "x"} x',
    "single quotes": b"{'name': 'x'}",
    "a trailing comma": b'{"name": "x",}',
    "a comment": b'{"name": "x"} // y',
    "a form": b"name=x&email=y",
    "words": b"hello",
    "NaN": b'{"x": NaN}',
    "Infinity": b'{"x": Infinity}',
    "minus Infinity": b'{"x": [-Infinity]}',
    "a control character in a string": b'{"name": "a\x00b"}',
    "a raw line feed in a string": b'{"name": "a\nb"}',
    "an unknown escape": b'{"name": "\\x41"}',
    "half an escape": b'{"name": "\\u00"}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "half a character of UTF-8": b'{"name": "\xe2\x82"}',
    "an overlong encoding": b'{"name": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\xbd"}',
    "a lone surrogate": b'{"name": "\\ud83d"}',
    "a lone surrogate in an unknown member": b'{"x": "\\udd11"}',
    "a lone surrogate in a member's name": b'{"\\ud83d": 1}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "4000 arrays": b"[" * 4000 + b"]" * 4000,
    "8000 arrays that never end": b"[" * 8000,
    "1300 objects": b'{"x":' * 1300 + b"1" + b"}" * 1300,
    "33 levels": b'{"x": ' + b"[" * 33 + b"]" * 33 + b"}",
}


def _state(service: Service, agent: Agent) -> tuple[object, ...]:
    """Everything that the requests could have changed."""
    tokens = [
        [(item["id"], item["name"]) for item in service.listed(path, service.operator)]
        for path in ("/v1/enrolment-tokens", "/v1/service-tokens", "/v1/developer-tokens")
    ]
    newest = service.get("/v1/agents?limit=1", service.operator).json()["items"]
    developers = service.get("/v1/developers?limit=1", service.operator).json()["items"]
    trail = service.get("/v1/audit?limit=1", service.operator).json()["items"]
    return tokens, newest, developers, trail, service.inspect(agent.id)


@pytest.mark.parametrize("case", NOT_OBJECTS)
def test_what_is_no_json_object_is_refused_everywhere(
    service: Service, developer: Developer, case: str
) -> None:
    agent = service.create_agent(developer.token)
    before = _state(service, agent)
    for method, path in ROUTES.values():
        answer = service.call(
            method, path.format(agent.id), token=service.operator, content=NOT_OBJECTS[case]
        )
        assert answer.status_code == 400, path
        assert_problem(answer, 400, "invalid_request")
    assert _state(service, agent) == before


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[0] != "POST"])
def test_it_is_refused_where_no_body_is_taken_too(
    service: Service, agent: Agent, method: str, path: str
) -> None:
    token = agent.key if path == "/v1/agents/self" else service.operator
    for content in (b'{"x": ', b"null", b"[]", b"x"):
        answer = service.call(method, filled(path), token=token, content=content)
        assert_names_member(answer, "body")


@pytest.mark.parametrize("case", NOT_OBJECTS)
@pytest.mark.parametrize("call", ["rotate-key", "revoke"])
def test_it_neither_rotates_nor_revokes(
    service: Service, agent: Agent, call: str, case: str
) -> None:
    before = service.inspect(agent.id)
    path = f"/v1/agents/self/{call}"
    answer = service.post(path, agent.key, content=NOT_OBJECTS[case])
    assert answer.status_code == 400
    codes = {"rotation_secret_required", "invalid_request"}
    assert answer.json()["code"] in codes
    assert_problem(answer, 400, answer.json()["code"])
    assert service.inspect(agent.id) == before


@pytest.mark.parametrize("case", NOT_OBJECTS)
def test_without_a_bearer_it_is_401_first(service: Service, case: str) -> None:
    answer = service.post("/v1/agents/self/rotate-key", content=NOT_OBJECTS[case])
    assert_problem(answer, 401, "invalid_credentials")


def test_a_body_around_a_right_secret_must_be_right_too(service: Service, agent: Agent) -> None:
    secret = json.dumps(agent.secret).encode()
    for template in (
        b'{"rotationSecret": %s, "x": "\xff"}',
        b'{"rotationSecret": %s, "x": NaN}',
        b'{"rotationSecret": %s, "x": "\\ud83d"}',
        b'{"rotationSecret": %s} trailing',
        b'\xef\xbb\xbf{"rotationSecret": %s}',
        b'{"rotationSecret": %s, "x": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'[{"rotationSecret": %s}]',
    ):
        path = "/v1/agents/self/rotate-key"
        answer = service.post(path, agent.key, content=template % secret)
        assert answer.status_code == 400, template
    assert service.whoami(agent.key).json()["generation"] == 1


def test_json_of_10000_levels_is_too_large(service: Service, agent: Agent) -> None:
    body = b"[" * 10_000 + b"]" * 10_000
    for path in ("/v1/agents/self/rotate-key", "/v1/auth/agent-register"):
        assert_problem(service.post(path, agent.key, content=body), 413, "body_too_large")


@pytest.mark.parametrize(
    "path", ["/v1/agents/{}/credits", "/v1/developers", "/v1/agents/self/rotate-key"]
)
def test_no_body_and_an_empty_one_are_refused_where_one_is_needed(
    service: Service, agent: Agent, path: str
) -> None:
    token = agent.key if "self" in path else service.operator
    for content in ({}, {"content": b""}):
        answer = service.post(path.format(agent.id), token, **content)
        assert answer.status_code == 400
        assert_problem(answer, 400, answer.json()["code"])


GOOD = {
    "spaces around it": b' \r\n\t{"name": "fine"} \n',
    "escapes": b'{"n\\u0061me": "f\\u0069ne"}',
    "a pair of surrogates": b'{"name": "fine", "x": "\\ud83d\\udd11"}',
    "levels that are few": b'{"name": "fine", "x": ' + b"[" * 20 + b"]" * 20 + b"}",
    "a large number that nobody reads": b'{"name": "fine", "x": ' + b"9" * 400 + b"}",
    "all types": b'{"name": "fine", "x": [null, true, -1.5e-3, "", {}, []]}',
}


@pytest.mark.parametrize("case", GOOD)
def test_unusual_but_right_json_is_taken(service: Service, case: str) -> None:
    answer = service.post("/v1/auth/agent-register", content=GOOD[case])
    assert (answer.status_code, answer.json().get("name")) == (201, "fine")


BEARERS = {
    "as usual": ("Bearer {}", 200),
    "in lower case": ("bearer {}", 200),
    "in upper case": ("BEARER {}", 200),
    "several spaces": ("Bearer    {}", 200),
    "a tab": ("Bearer\t{}", 401),
    "no space": ("Bearer{}", 401),
    "two words after it": ("Bearer {} x", 401),
    "a comma after it": ("Bearer {},", 401),
    "a quoted token": ('Bearer "{}"', 401),
    "another scheme": ("Token {}", 401),
    "Basic": ("Basic {}", 401),
    "no scheme": ("{}", 401),
    "Bearer twice": ("Bearer Bearer {}", 401),
    "two tokens in a list": ("Bearer {0}, Bearer {0}", 401),
    "a colon": ("Bearer: {}", 401),
}


@pytest.mark.parametrize("case", BEARERS)
def test_how_bearer_may_be_written(service: Service, agent: Agent, case: str) -> None:
    template, status = BEARERS[case]
    header = {"Authorization": template.format(agent.key)}
    assert service.get("/v1/agents/self", headers=header).status_code == status
    rotated = service.post(
        "/v1/agents/self/rotate-key", headers=header, json={"rotationSecret": agent.secret}
    )
    assert rotated.status_code == status
    generation = 2 if status == 200 else 1
    assert service.inspect(agent.id)["generation"] == generation


@pytest.mark.parametrize(
    "text", [b"Bearer \xff\xfe", b"B\xe9arer x", "Bearer 🔑".encode(), b"\xff"]
)
def test_an_authorization_that_is_not_ascii_is_401(service: Service, text: bytes) -> None:
    headers = [("Authorization", text)]
    for path in ("/v1/agents/self", "/v1/agents"):
        assert service.get(path, headers=headers).status_code == 401
    body = {"rotationSecret": forged("rs")}
    answer = service.post("/v1/agents/self/rotate-key", headers=headers, json=body)
    assert_problem(answer, 401, "invalid_credentials")


def test_other_headers_that_are_not_ascii_do_no_harm(service: Service, agent: Agent) -> None:
    headers = [("User-Agent", b"\xff\xfe\xc0"), ("X-Other", "ü".encode()), ("Cookie", b"\x80")]
    answer = service.rotate(agent.key, agent.secret, headers=headers)
    assert answer.status_code == 200
    assert service.audit(agentId=agent.id)[0]["action"] == "credential.rotated"
