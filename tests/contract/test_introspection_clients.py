"""Introspection with other people's clients of RFC 7662, unmodified."""

import pytest
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749 import OAuth2Request, ResourceProtector  # type: ignore[import-untyped]
from authlib.oauth2.rfc6750 import InvalidTokenError  # type: ignore[import-untyped]
from authlib.oauth2.rfc7662 import IntrospectTokenValidator  # type: ignore[import-untyped]
from requests_oauth2client import BearerToken, ClientSecretBasic, IntrospectionError, OAuth2Client

from .checks import INTROSPECT
from .client import Agent, Service, after_rotation, forged

HINTS = pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])


class _Introspected(IntrospectTokenValidator):  # type: ignore[misc]
    """What Authlib leaves to its user: how the endpoint is reached."""

    def __init__(self, client: OAuth2Session, url: str) -> None:
        super().__init__(realm="ours")
        self._client, self._url = client, url

    def introspect_token(self, token_string: str) -> object:
        answer = self._client.introspect_token(self._url, token=token_string)
        answer.raise_for_status()
        return answer.json()


def _authlib(checker: str) -> OAuth2Session:
    return OAuth2Session("a-service", checker, token_endpoint_auth_method="client_secret_basic")


def _requests(service: Service, checker: str) -> OAuth2Client:
    return OAuth2Client(
        token_endpoint=service.url + "/unused",
        introspection_endpoint=service.url + INTROSPECT,
        auth=ClientSecretBasic("a-service", checker),
        testing=True,  # allows http
    )


@HINTS
def test_authlibs_client_is_answered(
    service: Service, checker: str, agent: Agent, hint: str | None
) -> None:
    with _authlib(checker) as client:
        url = service.url + INTROSPECT
        active = client.introspect_token(url, token=agent.key, token_type_hint=hint)
        inactive = client.introspect_token(url, token=forged("ak"), token_type_hint=hint)
    assert (active.json()["active"], active.json()["sub"]) == (True, agent.id)
    assert inactive.json() == {"active": False}


def test_authlibs_resource_protector_lets_in_whose_key_is_good(
    service: Service, checker: str, agent: Agent
) -> None:
    with _authlib(checker) as client:
        protector = ResourceProtector()
        protector.register_token_validator(_Introspected(client, service.url + INTROSPECT))

        def admitted(key: str) -> str:
            request = OAuth2Request("GET", "https://example.com/", headers=_bearer(key))
            token: dict[str, str] = protector.validate_request([], request)
            return token["sub"]

        assert admitted(agent.key) == agent.id
        new = after_rotation(agent, service.rotate(agent.key, agent.secret))
        with pytest.raises(InvalidTokenError):
            admitted(agent.key)
        assert admitted(new.key) == agent.id


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_authlib_is_told_that_its_secret_is_wrong(service: Service, agent: Agent) -> None:
    with _authlib(forged("sv")) as client:
        refused = client.introspect_token(service.url + INTROSPECT, token=agent.key)
    assert refused.status_code == 401


@HINTS
def test_requests_oauth2clients_client_is_answered(
    service: Service, checker: str, agent: Agent, hint: str | None
) -> None:
    client = _requests(service, checker)
    with client.session:
        active = client.introspect_token(agent.key, token_type_hint=hint)
        inactive = client.introspect_token(agent.secret, token_type_hint=hint)
        known = client.introspect_token(BearerToken(agent.key))
    assert (active["active"], active["sub"], active["token_type"]) == (True, agent.id, "Bearer")
    assert known["client_id"] == service.inspect(agent.id)["developerId"]
    assert inactive == {"active": False}


def test_requests_oauth2client_is_told_that_its_secret_is_wrong(
    service: Service, agent: Agent
) -> None:
    client = _requests(service, forged("sv"))
    with client.session, pytest.raises(IntrospectionError):
        client.introspect_token(agent.key)
