"""docs/deployment.md: its commands run, and its snippets say what they should."""

import os
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, blocks
from tests.docs.shell import paste

from .conftest import port_of
from .stage import IDENTITY, Stage

PAGE = "docs/deployment.md"
WHOSE = [name.split("-")[1:] for name in IDENTITY]


def test_the_documented_visits_are_refused_and_admitted(stage: Stage) -> None:
    [block] = blocks(PAGE, "visit")
    visit = block.replace("localhost:8080", f"localhost:{stage.port}")
    [printed] = paste("sh", [visit], port_of(stage.keyturn), ROOT, os.environ)
    assert printed.split() == ["401", "200"]


@pytest.fixture
def traefik() -> Any:
    """The snippet, parsed."""
    return yaml.safe_load(blocks(PAGE, "traefik")[0])["http"]


@pytest.fixture
def envoy() -> Any:
    """The snippet, parsed."""
    return yaml.safe_load(blocks(PAGE, "envoy")[0])


def test_traefik_asks_keyturn_and_takes_its_word_alone(traefik: Any) -> None:
    asks = traefik["middlewares"]["keyturn"]["forwardAuth"]
    assert asks["address"].endswith(":8787/v1/forward-auth")
    assert asks["trustForwardHeader"] is False
    assert tuple(map(str.lower, asks["authResponseHeaders"])) == IDENTITY


def test_traefik_asks_first_and_takes_the_key_and_lookalikes_away_then(traefik: Any) -> None:
    assert traefik["routers"]["api"]["middlewares"] == ["keyturn", "private"]
    removed = traefik["middlewares"]["private"]["headers"]["customRequestHeaders"]
    assert set(removed.values()) == {""}
    mixtures = {f"x{a}{who}{b}{what}" for a in "-_" for b in "-_" for who, what in WHOSE}
    lookalikes = mixtures - set(IDENTITY)
    assert {name.lower() for name in removed} == {"authorization", *lookalikes}


def test_envoy_asks_keyturn_and_takes_its_word_alone(envoy: Any) -> None:
    asks = envoy["http_filters"][0]["typed_config"]
    assert asks["failure_mode_allow"] is False
    assert asks["http_service"]["path_prefix"] == "/v1/forward-auth"
    told = asks["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
    assert tuple(pattern["exact"] for pattern in told) == IDENTITY
    underscores = envoy["common_http_protocol_options"]["headers_with_underscores_action"]
    assert underscores == "REJECT_REQUEST"


def test_envoy_takes_the_key_away(envoy: Any) -> None:
    [host] = envoy["route_config"]["virtual_hosts"]
    assert host["request_headers_to_remove"] == ["authorization"]
