"""Section 8: the routes for those who run the service, and pages without outside addresses."""

import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from keyturn.testing import running_server

from .client import Service
from .conftest import service_of

METRICS_TOKEN = "a-long-metrics-token-for-tests"
FORWARDING = ["X-Forwarded-For", "Forwarded", "X-Real-IP"]


@pytest.fixture(scope="module")
def direct() -> Iterator[Service]:
    """A service without trusted proxies, with a token for its metrics."""
    with running_server(metrics_token=METRICS_TOKEN) as server:
        yield service_of(server, proxied=False)


@pytest.fixture(scope="module")
def tokenless() -> Iterator[Service]:
    """A service without trusted proxies or a token for its metrics."""
    with running_server() as server:
        yield service_of(server, proxied=False)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_is_alive_and_ready(service: Service, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"]


def test_metrics_are_in_the_format_of_prometheus(direct: Service) -> None:
    agent = direct.register()
    direct.rotate(agent.key, agent.secret)
    answer = direct.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    assert any(family.name.startswith("keyturn") for family in families)
    texts = [agent.key, agent.secret, agent.id, direct.operator, agent.key[-4:] + '"']
    assert not any(text in answer.text for text in texts)


def test_metrics_count_rotations(direct: Service) -> None:
    before = direct.get("/metrics").text
    agent = direct.register()
    direct.rotate(agent.key, agent.secret)
    changed = set(direct.get("/metrics").text.splitlines()) - set(before.splitlines())
    assert [line for line in changed if "rotat" in line]


def _metrics(service: Service, headers: dict[str, str]) -> httpx.Response:
    return service.get("/metrics", headers=headers)


@pytest.mark.parametrize("name", FORWARDING)
def test_metrics_are_not_open_through_a_proxy(
    direct: Service, tokenless: Service, name: str
) -> None:
    value = "for=127.0.0.1" if name == "Forwarded" else "127.0.0.1"
    for service in (direct, tokenless):
        answer = _metrics(service, {name: value})
        assert answer.status_code in {401, 403, 404}
        assert "keyturn_" not in answer.text


def test_metrics_are_not_open_to_a_proxys_client(service: Service) -> None:
    answer = service.get("/metrics", address="203.0.113.5")
    assert answer.status_code in {401, 403, 404}
    assert "keyturn_" not in answer.text


def test_metrics_are_open_to_loopback_and_to_the_token(direct: Service) -> None:
    bearer = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    assert _metrics(direct, {}).status_code == 200
    assert _metrics(direct, bearer).status_code == 200
    assert _metrics(direct, {**bearer, "X-Forwarded-For": "203.0.113.5"}).status_code == 200


@pytest.mark.parametrize("token", ["wrong", METRICS_TOKEN + "x", METRICS_TOKEN[:-1]])
def test_a_wrong_token_opens_no_metrics(direct: Service, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.5"}
    assert _metrics(direct, headers).status_code in {401, 403, 404}


def test_an_operator_is_nobody_to_the_metrics(direct: Service) -> None:
    headers = {"Authorization": f"Bearer {direct.operator}", "X-Forwarded-For": "203.0.113.5"}
    assert _metrics(direct, headers).status_code in {401, 403, 404}


@pytest.mark.parametrize("path", ["/docs", "/setup"])
def test_a_page_has_no_outside_address(service: Service, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href|action|data)\s*=\s*["']?\s*([^"'\s>]+)""", answer.text)
    loaded += re.findall(r"""(?:url\(|@import|import\(|fetch\()\s*["']?([^"')\s]+)""", answer.text)
    outside = [address for address in loaded if re.match(r"(\w+:)?//", address)]
    assert [a for a in outside if not re.match(r"https?://(localhost|127\.0\.0\.1)\b", a)] == []


def test_the_setup_page_names_the_command(service: Service) -> None:
    assert "keyturn developer invite" in service.get("/setup").text


def test_the_reference_has_every_route(service: Service) -> None:
    text = service.get("/docs").text
    paths = service.get("/openapi.json").json()["paths"]
    in_page = [path for path in paths if path in text]
    assert in_page == list(paths) or "openapi.json" in text


def test_what_the_reference_loads_is_there(service: Service) -> None:
    text = service.get("/docs").text
    for address in re.findall(r"""(?:src|href)\s*=\s*["'](/[^"'#]*)""", text):
        assert service.get(address).status_code == 200
