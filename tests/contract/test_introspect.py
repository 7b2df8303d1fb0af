"""Section 6: RFC 7662, for services that already speak it."""

import base64
import datetime as dt

import httpx
import pytest

from .checks import INTROSPECT
from .client import (
    HTTP,
    KINDS,
    Agent,
    Developer,
    Service,
    after_rotation,
    assert_names_member,
    assert_problem,
    forged,
)
from .raw import END_OF_CHUNKS, chunked, connected, exchange, head

INACTIVE = {"active": False}
FORM = "Content-Type: application/x-www-form-urlencoded"


def _basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _form(service: Service, checker: str, body: bytes, kind: str = "") -> httpx.Response:
    headers = {"Content-Type": kind or "application/x-www-form-urlencoded"}
    return service.post(INTROSPECT, checker, headers=headers, content=body)


def test_a_good_key_is_active(
    service: Service, checker: str, developer: Developer, owned: Agent
) -> None:
    answer = service.introspect(checker, owned.key)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    said = answer.json()
    assert list(said) == ["active", "sub", "client_id", "token_type", "iat"]
    assert (said["active"], said["sub"]) == (True, owned.id)
    assert (said["client_id"], said["token_type"]) == (developer.id, "Bearer")


def test_it_was_issued_when_the_key_was_made_in_whole_seconds(
    service: Service, checker: str, agent: Agent
) -> None:
    new = after_rotation(agent, service.rotate(agent.key, agent.secret))
    for key in (new.key,):
        made = dt.datetime.fromisoformat(service.whoami(key).json()["keyCreatedAt"])
        issued = service.introspect(checker, key).json()["iat"]
        assert type(issued) is int
        assert issued == int(made.timestamp())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_good_key_is_inactive_and_nothing_else(
    service: Service, checker: str, agent: Agent, kind: str
) -> None:
    given = {"rs": agent.secret, "sv": checker, "dt": service.operator}
    for token in (given.get(kind, forged(kind)), forged(kind), "x", "x" * 7000, "🔑"):
        answer = service.introspect(checker, token)
        assert (answer.status_code, answer.json()) == (200, INACTIVE)


def test_retired_revoked_and_deleted_keys_are_inactive(service: Service, checker: str) -> None:
    retired, revoked, deleted = (service.register() for _ in range(3))
    service.rotate(retired.key, retired.secret).raise_for_status()
    service.revoke_self(revoked.key, revoked.secret).raise_for_status()
    service.call("DELETE", f"/v1/agents/{deleted.id}", token=service.operator).raise_for_status()
    answers = [service.introspect(checker, who.key) for who in (retired, revoked, deleted)]
    assert [answer.json() for answer in answers] == [INACTIVE] * 3
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("user", ["", "me", "any-service", "Zoë", "x" * 500])
def test_the_token_may_be_basics_password(
    service: Service, checker: str, agent: Agent, user: str
) -> None:
    answer = service.introspect(None, agent.key, headers=_basic(user, checker))
    assert answer.json()["sub"] == agent.id


def test_the_scheme_basic_may_be_written_in_any_case(
    service: Service, checker: str, agent: Agent
) -> None:
    pair = _basic("x", checker)["Authorization"].partition(" ")[2]
    for scheme in ("basic", "BASIC"):
        headers = {"Authorization": f"{scheme} {pair}"}
        assert service.introspect(None, agent.key, headers=headers).json()["active"] is True


def test_a_wrong_password_is_401(service: Service, checker: str, agent: Agent) -> None:
    wrong = [
        _basic("me", forged("sv")),
        _basic("me", ""),
        _basic("me", agent.key),
        _basic("me", service.operator),
        _basic(checker, ""),
        _basic(checker, "x"),
        _basic("me", f"{checker}:"),
        _basic("me", f"x:{checker}"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic eA=="},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        {"Authorization": f"Basic {checker}"},
        {"Authorization": f"Digest {checker}"},
        {"Authorization": checker},
    ]
    for headers in wrong:
        answer = service.introspect(None, agent.key, headers=headers)
        assert_problem(answer, 401, "invalid_token")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="keyturn"')


def test_credentials_in_the_form_do_not_authenticate(
    service: Service, checker: str, agent: Agent
) -> None:
    body = {"token": agent.key, "client_id": "me", "client_secret": checker}
    assert_problem(service.post(INTROSPECT, data=body), 401, "invalid_token")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", "", "x" * 1000])
def test_a_hint_is_ignored(service: Service, checker: str, agent: Agent, hint: str) -> None:
    for token, active in ((agent.key, True), (agent.secret, False)):
        body = {"token_type_hint": hint, "token": token, "unknown": "1"}
        assert service.post(INTROSPECT, checker, data=body).json()["active"] is active


MISSING = {
    "nothing": b"",
    "other parameters": b"x=1&token_type_hint=access_token",
    "another case": b"Token=x",
    "a name only inside another": b"mytoken=x&tokens=y",
    "ampersands": b"&&&",
    "JSON": b'{"token": "x"}',
    "a value without a name": b"=token",
}


@pytest.mark.parametrize("case", MISSING)
def test_a_form_without_a_token_is_refused(service: Service, checker: str, case: str) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", "text/plain"):
        assert_names_member(_form(service, checker, MISSING[case], kind), "token")


def test_a_token_that_is_given_twice_is_refused(
    service: Service, checker: str, agent: Agent
) -> None:
    key = agent.key.encode()
    for body in (b"token=%b&token=%b", b"token=%b&x=1&%%74oken=%b"):
        assert_names_member(_form(service, checker, body % (key, key)), "token")


SPELLINGS = {
    "escaped": lambda key: "token=" + "".join(f"%{ord(c):02X}" for c in key),
    "escaped in small letters": lambda key: "token=" + "".join(f"%{ord(c):02x}" for c in key),
    "an escaped name": lambda key: f"%74%6Fken={key}",
    "after others": lambda key: f"a=1&&b&c=&token={key}",
    "before broken escapes": lambda key: f"token={key}&x=%zz&%=1&y=%",
    "before bytes that are no UTF-8": lambda key: f"token={key}&x=%ff%fe",
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_a_form_may_be_spelt_in_many_ways(
    service: Service, checker: str, agent: Agent, case: str
) -> None:
    answer = _form(service, checker, SPELLINGS[case](agent.key).encode())
    assert answer.json()["sub"] == agent.id


GARBAGE = [
    b"token=%", b"token=%zz", b"token=%ff%fe", b"token=\xff\xfe", b"token=\x00", b"token=",
    b"token", b"token=a;token=b", b"token=a+b", bytes(range(1, 256)) + b"&token=x",
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_inactive_or_refused(service: Service, checker: str, body: bytes) -> None:
    answer = _form(service, checker, body)
    if answer.status_code == 200:
        assert answer.json() == INACTIVE
    else:
        assert_names_member(answer, "token")


@pytest.mark.parametrize(
    "kind",
    ["", "application/json", "text/plain", "multipart/form-data; boundary=x", "nonsense",
     "application/x-www-form-urlencoded; charset=utf-16"],
)  # fmt: skip
def test_the_body_is_a_form_whatever_its_type(
    service: Service, checker: str, agent: Agent, kind: str
) -> None:
    headers = {"Content-Type": kind}
    body = f"token={agent.key}".encode()
    answer = service.post(INTROSPECT, checker, headers=headers, content=body)
    assert answer.json()["sub"] == agent.id


def test_the_body_needs_no_type(service: Service, checker: str, agent: Agent) -> None:
    lines = f"Authorization: Bearer {checker}", "Transfer-Encoding: chunked"
    body = f"token={agent.key}".encode()
    pieces = chunked(body[:3], body[3:20], body[20:]) + END_OF_CHUNKS
    answer = exchange(service, head("POST", INTROSPECT, *lines), pieces)
    assert answer is not None and answer.json()["sub"] == agent.id


def test_a_body_of_8_kib_is_taken_and_a_byte_more_is_413(
    service: Service, checker: str, agent: Agent
) -> None:
    whole = f"token={agent.key}&x=".encode().ljust(8192, b"x")
    assert _form(service, checker, whole).json()["sub"] == agent.id
    assert_problem(_form(service, checker, whole + b"x"), 413, "body_too_large")


def test_half_a_body_is_no_request(service: Service, checker: str, agent: Agent) -> None:
    body = f"token={agent.key}".encode()
    lines = f"Authorization: Bearer {checker}", FORM, f"Content-Length: {len(body)}"
    with connected(service) as connection:
        connection.send(head("POST", INTROSPECT, *lines), body[:-1])
        answer = connection.answer()
    assert answer is not None and answer.status == 408
    with connected(service) as connection:
        connection.send(head("POST", INTROSPECT, *lines), body[:-1])
        connection.send(body[-1:])
        answer = connection.answer()
    assert answer is not None and answer.json()["active"] is True


def test_a_key_in_the_query_is_refused(service: Service, checker: str, agent: Agent) -> None:
    for query in ({"token": agent.key}, {"x": agent.key}, {"access_token": checker}):
        answer = HTTP.post(
            service.url + INTROSPECT,
            params=query,
            headers={"Authorization": f"Bearer {checker}"},
            data={"token": agent.key},
        )
        assert_problem(answer, 400, "invalid_request")
        assert agent.key not in answer.text


def test_it_takes_no_credits(service: Service, checker: str, agent: Agent) -> None:
    body = {"token": agent.key, "cost": "5"}
    assert service.post(INTROSPECT, checker, data=body).json()["active"] is True
    assert service.balance(agent) == 100
