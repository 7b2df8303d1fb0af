"""The applications of the page on integrations, as they stand there."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing import Server, running_server
from tests.contract.client import HTTP
from tests.docs.pages import blocks
from tests.integrations.serving import serving_asgi, serving_wsgi

PAGE = "docs/integrations.md"
SERVE_DJANGO = """
import django
from django.test import Client

django.setup()
import sys
key = sys.stdin.read()
for headers in ({}, {"Authorization": f"Bearer {key}"}):
    answer = Client().get("/search", headers=headers)
    print(answer.status_code, answer.content.decode())
"""
URLS = """
from django.urls import path
import views

urlpatterns = [path("search", views.search)]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


@pytest.fixture
def key(server: Server) -> str:
    made = HTTP.post(f"{server.url}/v1/auth/agent-register", json={"name": "my-research-agent"})
    shown: str = made.json()["apiKey"]
    return shown


@pytest.fixture
def service_token(server: Server) -> str:
    made = server.run("service", "create", "--name", "search-api")
    return made.stdout.split()[-1]


def documented(marker: str, server: Server) -> str:
    (block,) = blocks(PAGE, marker)
    return block.replace("http://localhost:8787", server.url)


def application(marker: str, server: Server) -> Any:
    """The `app` that a block makes."""
    made: dict[str, Any] = {"__name__": marker}
    exec(compile(documented(marker, server), marker, "exec"), made)
    if marker == "flask":
        return contextlib.closing(made["verifier"]), serving_wsgi(made["app"])
    return contextlib.nullcontext(), serving_asgi(made["app"])


@pytest.mark.parametrize(
    ("marker", "answer"),
    [
        ("fastapi", {"for": "my-research-agent", "creditsLeft": 98}),
        ("starlette", {"for": "my-research-agent"}),
        ("flask", {"for": "my-research-agent"}),
        ("embedded", {"for": "my-research-agent"}),
    ],
)
def test_the_documented_application_answers_agents_only(
    server: Server,
    key: str,
    service_token: str,
    marker: str,
    answer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", service_token)
    monkeypatch.setenv("KEYTURN_DATA_DIR", str(server.data_dir))
    verifier, served = application(marker, server)
    with verifier, served as url:
        refused = HTTP.get(f"{url}/search")
        told = HTTP.get(f"{url}/search", headers={"Authorization": f"Bearer {key}"})
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
    assert (told.status_code, told.json()) == (200, answer)


def test_the_documented_django_answers_agents_only(
    server: Server, key: str, service_token: str, tmp_path: Path
) -> None:
    settings = 'ALLOWED_HOSTS = ["*"]\nROOT_URLCONF = "urls"\n'
    (tmp_path / "settings.py").write_text(settings + documented("django settings", server))
    (tmp_path / "views.py").write_text(documented("django views", server))
    (tmp_path / "urls.py").write_text(URLS)
    environment = {"DJANGO_SETTINGS_MODULE": "settings", "SERVICE_TOKEN": service_token}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVE_DJANGO],
        input=key,
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refused, told = done.stdout.splitlines()
    assert refused.startswith("401 ")
    assert told == '200 {"for": "my-research-agent"}'


def test_the_documented_mount_serves_keyturn(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYTURN_DATA_DIR", str(tmp_path / "data"))
    _, served = application("mounted", server)
    with served as url:
        made = HTTP.post(f"{url}/keys/v1/auth/agent-register")
        reference = HTTP.get(f"{url}/keys/openapi.json").json()
    assert made.status_code == 201
    assert reference["servers"] == [{"url": "https://api.example.com/keys"}]
