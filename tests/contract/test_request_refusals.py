"""Section 2: what is refused before anything else is looked at, and in which order."""

import json
from collections.abc import Iterator

import pytest

from .client import (
    KINDS,
    Agent,
    Developer,
    Service,
    assert_names_member,
    assert_problem,
    forged,
    ipv4,
)
from .raw import END_OF_CHUNKS, chunked, connected, exchange, head
from .routes import CALLS, ROUTES, filled

REGISTER = "/v1/auth/agent-register"
LIMIT = 8192
BODIES = [call for call in CALLS if call[0] in {"POST", "PATCH"}]
JSON_BODIES = [call for call in BODIES if call[1] != "/v1/introspect"]
V1 = [path for path in ROUTES if path.startswith("/v1/")]


def _padded(size: int, **members: str) -> bytes:
    empty = len(json.dumps({**members, "pad": ""}))
    return json.dumps({**members, "pad": "x" * (size - empty)}).encode()


def _in_pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def test_a_body_of_8_kib_is_taken(service: Service) -> None:
    whole = service.post(REGISTER, content=_padded(LIMIT, name="whole"))
    pieces = service.post(REGISTER, content=_in_pieces(_padded(LIMIT, name="in pieces")))
    assert (whole.json()["name"], pieces.json()["name"]) == ("whole", "in pieces")


def test_a_byte_more_is_413(service: Service) -> None:
    body = _padded(LIMIT + 1)
    assert_problem(service.post(REGISTER, content=body), 413, "body_too_large")
    assert_problem(service.post(REGISTER, content=_in_pieces(body)), 413, "body_too_large")


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_every_route_refuses_a_large_body_before_it_asks_who_is_there(
    service: Service, method: str, path: str
) -> None:
    for content in (b"x" * (LIMIT + 1), _in_pieces(b"x" * (LIMIT + 1))):
        answer = service.call(method, filled(path), content=content)
        assert_problem(answer, 413, "body_too_large")


def test_a_large_body_is_413_even_where_none_is_expected(service: Service, agent: Agent) -> None:
    answer = service.call("GET", "/v1/agents/self", token=agent.key, content=b"x" * (LIMIT + 1))
    assert_problem(answer, 413, "body_too_large")


def test_a_large_body_is_refused_before_all_of_it_is_here(service: Service) -> None:
    announced = exchange(service, head("POST", REGISTER, "Content-Length: 99999999999"))
    endless = head("POST", REGISTER, "Transfer-Encoding: chunked")
    arriving = exchange(service, endless, chunked(b" " * 4096, b" " * 4096, b" "))
    assert announced is not None and announced.json()["code"] == "body_too_large"
    assert arriving is not None and arriving.json()["code"] == "body_too_large"


def test_a_large_body_spends_no_attempt(service: Service, agent: Agent) -> None:
    address = ipv4()
    for _ in range(4):
        body = _padded(LIMIT + 1, rotationSecret=agent.secret)
        service.post("/v1/agents/self/rotate-key", agent.key, content=body, address=address)
    assert "r=2;" in service.rotate(agent.key, agent.secret, address=address).headers["ratelimit"]


DUPLICATES = {
    "the same member": '{"name": "a", "name": "a"}',
    "a member that nobody knows": '{"x": 1, "x": 2}',
    "an empty name": '{"": 1, "": 2}',
    "names that differ in escapes only": '{"name": "a", "n\\u0061me": "b"}',
    "inside an object": '{"x": {"y": 1, "y": 1}}',
    "inside an array": '{"x": [1, [{"y": null, "y": null}]]}',
    "far down": '{"a": ' * 20 + '{"y": 1, "y": 2}' + "}" * 20,
    "with a null": '{"name": null, "name": null}',
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_a_duplicate_member_is_refused(service: Service, case: str) -> None:
    answer = service.post(REGISTER, content=DUPLICATES[case].encode())
    assert_problem(answer, 400, "invalid_request")


@pytest.mark.parametrize(("method", "path"), JSON_BODIES)
def test_every_route_refuses_duplicate_members_before_it_asks_who_is_there(
    service: Service, method: str, path: str
) -> None:
    answer = service.call(method, filled(path), content=b'{"x": 1, "x": 1}')
    assert_problem(answer, 400, "invalid_request")


def test_the_same_name_in_two_objects_is_no_duplicate(service: Service) -> None:
    body = b'{"name": "one", "x": {"name": "two"}, "y": [{"name": 1}, {"name": 1}]}'
    assert service.post(REGISTER, content=body).json()["name"] == "one"


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[1] in V1])
def test_two_authorization_headers_are_refused(service: Service, method: str, path: str) -> None:
    for second in (f"Bearer {service.operator}", "Basic YTpi", ""):
        headers = [("Authorization", f"Bearer {service.operator}"), ("authorization", second)]
        answer = service.call(method, filled(path), headers=headers)
        assert_problem(answer, 400, "invalid_request")


def _percent_encoded(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


QUERIES = {
    "as a parameter": "key={}",
    "as another's value": "q={}",
    "in the second parameter": "limit=1&cursor={}",
    "as a parameter's name": "{}=1",
    "alone": "{}",
    "inside a longer value": "q=my+key+is+{}+ok",
    "after a semicolon": "limit=1;key={}",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", QUERIES)
def test_a_credential_in_the_query_is_refused(service: Service, case: str, kind: str) -> None:
    for text in (forged(kind), _percent_encoded(forged(kind)), forged(kind).replace("_", "%5F")):
        answer = service.get("/v1/agents?" + QUERIES[case].format(text), service.operator)
        assert_problem(answer, 400, "invalid_request")


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[1] in V1])
def test_every_route_refuses_a_credential_in_the_query(
    service: Service, method: str, path: str
) -> None:
    for query in (f"?x={forged('ak')}", "?access_token=abc"):
        assert_problem(service.call(method, filled(path) + query), 400, "invalid_request")


def test_the_answer_does_not_repeat_the_credential(service: Service) -> None:
    key = forged("ak")
    refused = service.get("/v1/agents", service.operator, params={"cursor": key})
    assert key not in refused.text


REPEATED = {
    "limit": "limit=1&limit=2",
    "cursor": "cursor=NQ&x=1&cursor=NQ",
    "q": "q=a&%71=b",
    "nobody's": "nobody's=1&nobody's=1",
    "status": "status=active&status=revoked",
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_repeated_parameter_is_refused(service: Service, name: str) -> None:
    answer = service.get("/v1/agents?" + REPEATED[name], service.operator)
    assert_names_member(answer, name)


def test_a_credential_that_is_repeated_is_not_named(service: Service) -> None:
    key = forged("ak")
    refused = service.get(f"/v1/agents?{key}=1&{key}=2", service.operator)
    assert_names_member(refused, "query")
    assert key not in refused.text


def test_a_query_that_only_resembles_one_is_fine(service: Service, developer: Developer) -> None:
    for text in ("sk_live", "sk_live_ak_", "ak"):
        assert service.get("/v1/agents", developer.token, params={"q": text}).status_code == 200


UNKNOWN = {"agentId": "x", "generation": 7, "creditBalance": 10**6, "status": "revoked", "x": [1]}


def test_unknown_members_are_ignored_and_not_stored(service: Service, developer: Developer) -> None:
    body = {**UNKNOWN, "name": "plain", "developerId": developer.id}
    self_made = service.post(REGISTER, json=body).json()
    made = service.post("/v1/agents", developer.token, json=body).json()
    for agent_id in (self_made["agentId"], made["agentId"]):
        seen = service.inspect(agent_id)
        state = (seen["generation"], seen["creditBalance"], seen["status"], seen["metadata"])
        assert state == (1, 100, "active", {})
        assert "x" not in seen
    assert service.inspect(self_made["agentId"])["developerId"] != developer.id
    assert (
        service.call(
            "PATCH", f"/v1/agents/{made['agentId']}", token=developer.token, json=UNKNOWN
        ).json()["creditBalance"]
        == 100
    )


TOO_LARGE, DUPLICATE, BROKEN = b"x" * (LIMIT + 1), b'{"x": 1, "x": 1}', b'{"x": '
ORDER = [
    ("a large body before an unknown path", "POST", "/v1/nothing?access_token=x", TOO_LARGE, 413),
    ("a duplicate before an unknown path", "POST", "/v1/nothing", DUPLICATE, 400),
    ("the query before an unknown path", "GET", "/v1/nothing?access_token=x", b"", 400),
    ("an unknown path before a broken body", "POST", "/v1/nothing", BROKEN, 404),
    ("a wrong method before a large body", "PUT", REGISTER, TOO_LARGE, 405),
    ("a wrong method before a duplicate", "PUT", REGISTER, DUPLICATE, 405),
    ("a large body before the query", "POST", REGISTER + "?access_token=x", TOO_LARGE, 413),
    ("a large body before authentication", "POST", "/v1/agents", TOO_LARGE, 413),
    ("a duplicate before authentication", "POST", "/v1/agents", DUPLICATE, 400),
    ("the query before authentication", "GET", "/v1/agents?access_token=x", b"", 400),
    ("a repeated parameter before authentication", "GET", "/v1/agents?q=1&q=1", b"", 400),
    ("authentication before a broken body", "POST", "/v1/agents", BROKEN, 401),
    ("authentication before a body that is not taken", "GET", "/v1/agents", BROKEN, 401),
    ("authentication before a wrong parameter", "GET", "/v1/agents?limit=0", b"", 401),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"), [case[1:] for case in ORDER], ids=[c[0] for c in ORDER]
)
def test_refusals_have_an_order(
    service: Service, method: str, path: str, body: bytes, status: int
) -> None:
    assert service.call(method, path, content=body).status_code == status


def test_two_authorization_headers_come_before_an_unknown_path(service: Service) -> None:
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    assert_problem(service.get("/v1/nothing", headers=headers), 400, "invalid_request")


def test_two_authorization_headers_come_after_a_large_body(service: Service) -> None:
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    answer = service.post("/v1/agents", headers=headers, content=TOO_LARGE)
    assert_problem(answer, 413, "body_too_large")


def test_the_connection_is_still_good_after_a_small_refusal(service: Service) -> None:
    with connected(service) as connection:
        for _ in range(2):
            connection.send(head("PUT", REGISTER, "Content-Length: 2"), b"{}")
            answer = connection.answer()
            assert answer is not None and answer.status == 405


def test_chunks_that_end_are_a_body_like_any_other(service: Service) -> None:
    body = chunked(b'{"name": ', b'"chunked"}') + END_OF_CHUNKS
    answer = exchange(service, head("POST", REGISTER, "Transfer-Encoding: chunked"), body)
    assert answer is not None and answer.json()["name"] == "chunked"


def test_a_member_of_the_wrong_type_is_named(service: Service) -> None:
    assert_names_member(service.post(REGISTER, json={"name": 5}), "name")
    assert_names_member(service.post(REGISTER, json={"enrolmentToken": 5}), "enrolmentToken")
