"""Section 1: what credentials look like, and that each kind is good for one thing only."""

import re
from collections.abc import Callable

import httpx
import pytest

from .client import BASE62, KINDS, Service, assert_problem, checksum, forged
from .routes import DEVELOPER_CALLS, filled

Issued = dict[str, str]


@pytest.fixture(scope="module")
def issued(service: Service) -> Issued:
    """A valid credential of every kind; the developer's are an operator's."""
    agent = service.register()
    operator = service.create_developer(operator=True)
    return {
        "ak": agent.key,
        "rs": agent.secret,
        "dt": service.create_token("developer", operator.token)["token"],
        "sv": service.create_token("service", operator.token)["token"],
        "en": service.create_token("enrolment", operator.token, maxUses=1000)["token"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_is_prefix_kind_43_characters_and_their_checksum(
    issued: Issued, kind: str
) -> None:
    credential = issued[kind]
    matched = bool(re.fullmatch(f"sk_live_{kind}_[{BASE62}]{{49}}", credential))
    summed = credential[-6:] == checksum(credential[:-6])
    assert (matched, summed) == (True, True)


def test_the_checksum_of_these_tests_is_the_known_one() -> None:
    # The published check value of CRC-32 is 0xCBF43926, for "123456789".
    number = 0
    for digit in checksum("123456789"):
        number = number * 62 + BASE62.index(digit)
    assert number == 0xCBF43926


def test_a_thousand_random_characters_use_the_whole_alphabet(service: Service) -> None:
    agents = [service.register() for _ in range(12)]
    drawn = "".join(text[11:-6] for agent in agents for text in (agent.key, agent.secret))
    assert set(drawn) == set(BASE62)


def test_a_rotation_draws_both_credentials_anew(service: Service) -> None:
    agent = service.register()
    made = service.rotate(agent.key, agent.secret).json()
    texts = [agent.key, agent.secret, made["apiKey"], made["rotationSecret"]]
    assert len({text[11:-6] for text in texts}) == 4


def _flip(text: str) -> str:
    return text.replace(text[0], "b" if text[0] == "a" else "a", 1)


DAMAGES: dict[str, Callable[[str], str]] = {
    "a wrong checksum": lambda key: key[:-1] + _flip(key[-1]),
    "another character in the middle": lambda key: key[:30] + _flip(key[30]) + key[31:],
    "a character too few": lambda key: key[:-1],
    "a character too many": lambda key: key + "0",
    "other case": str.swapcase,
    "another prefix": lambda key: key.replace("sk_live", "sk_test"),
    "another prefix, with the right checksum": lambda key: _signed(key, "sk_test"),
    "another kind, with the right checksum": lambda key: _signed(key.replace("_ak_", "_rs_")),
    "without its prefix": lambda key: key[11:],
    "the prefix alone": lambda key: key[:11],
    "a character outside the alphabet": lambda key: key[:30] + "-" + key[31:],
}


def _signed(text: str, prefix: str = "sk_live") -> str:
    unsigned = prefix + text[7:-6]
    return unsigned + checksum(unsigned)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_api_key_is_refused(service: Service, issued: Issued, damage: str) -> None:
    damaged = DAMAGES[damage](issued["ak"])
    assert_problem(service.whoami(damaged), 401, "invalid_credentials")
    assert service.whoami(issued["ak"]).status_code == 200


@pytest.mark.parametrize("damage", ["a wrong checksum", "a character too few"])
def test_a_damaged_developer_token_is_refused(
    service: Service, issued: Issued, damage: str
) -> None:
    damaged = DAMAGES[damage](issued["dt"])
    assert_problem(service.get("/v1/agents", damaged), 401, "invalid_token")


def _read_self(service: Service, _: Issued, given: str) -> httpx.Response:
    return service.whoami(given)


def _rotate_with_key(service: Service, issued: Issued, given: str) -> httpx.Response:
    return service.rotate(given, issued["rs"])


def _rotate_with_secret(service: Service, issued: Issued, given: str) -> httpx.Response:
    return service.rotate(issued["ak"], given)


def _revoke_with_key(service: Service, issued: Issued, given: str) -> httpx.Response:
    return service.revoke_self(given, issued["rs"])


def _revoke_with_secret(service: Service, issued: Issued, given: str) -> httpx.Response:
    return service.revoke_self(issued["ak"], given)


def _register(service: Service, _: Issued, given: str) -> httpx.Response:
    return service.post("/v1/auth/agent-register", json={"enrolmentToken": given})


AGENTS_PLACES = [
    ("reading self", _read_self, "ak", "invalid_credentials"),
    ("the API key of a rotation", _rotate_with_key, "ak", "invalid_credentials"),
    ("the secret of a rotation", _rotate_with_secret, "rs", "invalid_credentials"),
    ("the API key of a revocation", _revoke_with_key, "ak", "invalid_credentials"),
    ("the secret of a revocation", _revoke_with_secret, "rs", "invalid_credentials"),
    ("the enrolment token", _register, "en", "invalid_enrolment_token"),
]
WRONG_KINDS = [
    pytest.param(call, kind, code, id=f"{kind} as {place}")
    for place, call, right, code in AGENTS_PLACES
    for kind in KINDS
    if kind != right
]


@pytest.mark.parametrize(("call", "kind", "code"), WRONG_KINDS)
def test_no_other_kind_does_instead(
    service: Service, issued: Issued, call: object, kind: str, code: str
) -> None:
    assert callable(call)
    assert_problem(call(service, issued, issued[kind]), 401, code)
    assert_problem(call(service, issued, forged(kind)), 401, code)
    assert service.whoami(issued["ak"]).json()["generation"] == 1


@pytest.mark.parametrize(("method", "path"), DEVELOPER_CALLS)
def test_a_developers_route_takes_developer_tokens_only(
    service: Service, issued: Issued, method: str, path: str
) -> None:
    wrong = [issued[kind] for kind in KINDS if kind != "dt"] + [forged("dt"), "x"]
    for token in wrong:
        answer = service.call(method, filled(path), token=token)
        assert_problem(answer, 401, "invalid_token")
        expected = 'Bearer realm="keyturn", error="invalid_token"'
        assert answer.headers["www-authenticate"] == expected


@pytest.mark.parametrize(("method", "path"), DEVELOPER_CALLS)
def test_a_developers_route_without_a_token_is_401(
    service: Service, method: str, path: str
) -> None:
    answer = service.call(method, filled(path))
    assert_problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="keyturn"'
