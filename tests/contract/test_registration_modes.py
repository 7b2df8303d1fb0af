"""Section 3: registration that is closed, by enrolment token only, or limited; other prefixes."""

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keyturn.testing import running_server

from .client import (
    ABSENT_ID,
    TIME,
    Service,
    assert_names_member,
    assert_problem,
    checksum,
    forged,
    ipv4,
)
from .conftest import PROXIES, service_of

REGISTER = "/v1/auth/agent-register"
PREFIX = "acme_test"


@pytest.fixture(scope="module")
def enrolment() -> Iterator[Service]:
    """A service that registers by enrolment token, with a prefix of its own."""
    with running_server(registration="enrolment", prefix=PREFIX, trusted_proxies=PROXIES) as server:
        yield service_of(server)


@pytest.fixture(scope="module")
def closed() -> Iterator[Service]:
    """A service that registers nobody."""
    with running_server(registration="closed", trusted_proxies=PROXIES) as server:
        yield service_of(server)


@pytest.fixture(scope="module")
def limited() -> Iterator[Service]:
    """A service that registers 3 agents of one address, and 7 in all; it rotates one an hour."""
    limits = {"registration_limit": 3, "registration_total": 7}
    limits |= {"rotation_limit": 1, "rotation_window": 3600}
    with running_server(trusted_proxies=PROXIES, **limits) as server:
        yield service_of(server)


def _enrol(service: Service, token: object) -> httpx.Response:
    return service.post(REGISTER, json={"enrolmentToken": token})


def _bad_token(service: Service, case: str) -> str:
    """A token of the case, made the way it goes bad in practice."""
    if case in {"forged", "of another kind"}:
        prefix = service.operator.rsplit("_dt_", 1)[0]
        return forged("en" if case == "forged" else "sv", prefix)
    developer = service.create_developer()
    made = service.create_token("enrolment", developer.token)
    if case == "deleted":
        path = f"/v1/enrolment-tokens/{made['id']}"
        service.call("DELETE", path, token=developer.token).raise_for_status()
    else:
        path = f"/v1/developers/{developer.id}/disable"
        service.post(path, service.operator).raise_for_status()
    return str(made["token"])


BAD_TOKENS = ["forged", "of another kind", "deleted", "of a disabled developer"]


@pytest.mark.parametrize("case", BAD_TOKENS)
@pytest.mark.parametrize("mode", ["service", "enrolment", "closed"])
def test_a_bad_token_is_401_in_every_mode(
    mode: str, case: str, request: pytest.FixtureRequest
) -> None:
    service: Service = request.getfixturevalue(mode)
    answer = _enrol(service, _bad_token(service, case))
    assert_problem(answer, 401, "invalid_enrolment_token")


@pytest.mark.parametrize("body", [{}, {"enrolmentToken": None}, {"name": "x"}, None])
def test_a_token_is_required_where_the_mode_says_so(enrolment: Service, body: object) -> None:
    answer = enrolment.post(REGISTER, json=body) if body is not None else enrolment.post(REGISTER)
    assert_problem(answer, 401, "invalid_enrolment_token")


def test_the_agent_belongs_to_the_developer_who_made_the_token(enrolment: Service) -> None:
    developer = enrolment.create_developer()
    token = enrolment.create_token("enrolment", developer.token)
    answer = _enrol(enrolment, token["token"])
    made = answer.json()
    assert (answer.status_code, made["developerId"]) == (201, developer.id)
    assert enrolment.get(f"/v1/agents/{made['agentId']}", developer.token).status_code == 200


def test_a_token_is_good_for_one_agent_unless_told(enrolment: Service) -> None:
    token = enrolment.create_token("enrolment", enrolment.operator)
    assert (token["maxUses"], token["uses"]) == (1, 0)
    assert _enrol(enrolment, token["token"]).status_code == 201
    assert_problem(_enrol(enrolment, token["token"]), 401, "invalid_enrolment_token")


def test_a_refused_registration_uses_nothing_up(enrolment: Service) -> None:
    token = enrolment.create_token("enrolment", enrolment.operator)["token"]
    for body in ({"name": "", "enrolmentToken": token}, {"name": 5, "enrolmentToken": token}):
        assert enrolment.post(REGISTER, json=body).status_code == 400
    assert _enrol(enrolment, token).status_code == 201


@pytest.mark.parametrize("_", range(6))
def test_of_simultaneous_uses_as_many_pass_as_allowed(enrolment: Service, _: int) -> None:
    made = enrolment.create_token("enrolment", enrolment.operator, maxUses=3)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: _enrol(enrolment, made["token"]), range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [401] * 7
    listed = enrolment.listed("/v1/enrolment-tokens", enrolment.operator)
    assert [item["uses"] for item in listed if item["id"] == made["id"]] == [3]


def _in(**duration: float) -> str:
    then = dt.datetime.now(dt.UTC) + dt.timedelta(**duration)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_token_expires(enrolment: Service) -> None:
    made = enrolment.create_token(
        "enrolment", enrolment.operator, maxUses=100_000, expiresAt=_in(seconds=1)
    )
    assert _enrol(enrolment, made["token"]).status_code == 201
    deadline = time.monotonic() + 20
    answer = _enrol(enrolment, made["token"])
    while answer.status_code == 201 and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = _enrol(enrolment, made["token"])
    assert_problem(answer, 401, "invalid_enrolment_token")


def test_a_token_lasts_seven_days_unless_told(enrolment: Service) -> None:
    made = enrolment.create_token("enrolment", enrolment.operator)
    assert TIME.fullmatch(made["expiresAt"])
    times = [dt.datetime.fromisoformat(made[name]) for name in ("createdAt", "expiresAt")]
    assert abs(times[1] - times[0] - dt.timedelta(days=7)) < dt.timedelta(seconds=1)


BAD_LIMITS = [
    ("maxUses", 0), ("maxUses", -1), ("maxUses", 1.5), ("maxUses", "1"), ("maxUses", True),
    ("maxUses", 10**400), ("maxUses", [1]),
    ("expiresAt", "yesterday"), ("expiresAt", 5), ("expiresAt", "2020-01-01T00:00:00.000Z"),
    ("expiresAt", "2999-13-01T00:00:00.000Z"), ("expiresAt", ""),
    ("expiresAt", "1799999999"), ("expiresAt", "tomorrow"),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), BAD_LIMITS)
def test_a_tokens_limits_are_checked(enrolment: Service, member: str, value: object) -> None:
    body = {"name": "x", member: value}
    answer = enrolment.post("/v1/enrolment-tokens", enrolment.operator, json=body)
    assert_names_member(answer, member)


def test_nobody_registers_where_it_is_closed(closed: Service) -> None:
    token = closed.create_token("enrolment", closed.operator)["token"]
    for body in ({}, {"name": "x"}, {"enrolmentToken": token}):
        assert_problem(closed.post(REGISTER, json=body), 403, "registration_closed")
    assert closed.get("/v1/agents", closed.operator).json()["items"] == []


def test_a_developer_makes_agents_where_registration_is_closed(closed: Service) -> None:
    agent = closed.create_agent(closed.create_developer().token)
    assert closed.rotate(agent.key, agent.secret).status_code == 200


def test_both_limits_of_registration(limited: Service) -> None:
    busy, others = ipv4(), [ipv4() for _ in range(5)]
    statuses = [limited.post(REGISTER, address=busy).status_code for _ in range(4)]
    assert statuses == [201] * 3 + [429]
    assert_problem(limited.post(REGISTER, address=busy), 429, "too_many_registrations")
    elsewhere = [limited.post(REGISTER, address=address).status_code for address in others]
    assert elsewhere == [201] * 4 + [429]
    refused = limited.post(REGISTER, address=ipv4())
    assert_problem(refused, 429, "too_many_registrations")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert len(limited.listed("/v1/agents", limited.operator)) == 7
    assert limited.create_agent(limited.operator).id != ABSENT_ID


def test_a_rotation_is_never_told_to_wait_longer_than_15_minutes(limited: Service) -> None:
    address = ipv4()
    refused = [limited.rotate(forged("ak"), forged("rs"), address=address) for _ in range(2)][1]
    assert_problem(refused, 429, "too_many_rotation_attempts")
    assert refused.headers["retry-after"] == "900"
    assert int(refused.headers["ratelimit"].rpartition("t=")[2]) > 3500


def test_another_prefix_is_in_every_credential(enrolment: Service) -> None:
    agent = enrolment.create_agent(enrolment.operator)
    rotated = enrolment.rotate(agent.key, agent.secret).json()
    tokens = [
        enrolment.create_token(kind, enrolment.operator)["token"]
        for kind in ("developer", "service", "enrolment")
    ]
    made = [agent.key, agent.secret, rotated["apiKey"], rotated["rotationSecret"], *tokens]
    kinds = ["ak", "rs", "ak", "rs", "dt", "sv", "en"]
    assert [text[:13] for text in made] == [f"{PREFIX}_{kind}_" for kind in kinds]
    assert all(text[-6:] == checksum(text[:-6]) for text in made)


def test_another_installations_prefix_is_not_ours(enrolment: Service) -> None:
    agent = enrolment.create_agent(enrolment.operator)
    unsigned = agent.key.replace(PREFIX, "sk_live", 1)[:-6]
    assert_problem(enrolment.whoami(unsigned + checksum(unsigned)), 401, "invalid_credentials")
    assert enrolment.whoami(agent.key).status_code == 200


def test_a_credential_of_another_prefix_in_the_query_is_refused_too(enrolment: Service) -> None:
    for prefix in (PREFIX, "sk_live"):
        params = {"q": forged("ak", prefix)}
        answer = enrolment.get("/v1/agents", enrolment.operator, params=params)
        assert_problem(answer, 400, "invalid_request")
