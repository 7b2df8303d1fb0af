"""Nothing that a user can set, call, or be told is missing from the documentation, or made up."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keyturn.cli.agent import ENROLMENT_TOKEN, EXIT_STATUS, agent
from keyturn.core.audit_trail import Action
from keyturn.problems import STATUS
from keyturn.settings import ENVIRONMENT_ONLY, Settings
from keyturn.testing import Server, running_server
from tests.docs.pages import PAGES, ROOT

API = (ROOT / "docs/api.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


@pytest.fixture(scope="module")
def openapi(server: Server) -> Any:
    return httpx.get(f"{server.url}/openapi.json").json()


def settings_table() -> dict[str, str]:
    """The variables of the table of settings, and the default that stands beside each."""
    return dict(re.findall(r"^\| `(KEYTURN_\w+)` \| (?:none|`(.*?)`) \|", OPERATIONS, re.MULTILINE))


def test_the_table_of_settings_is_that_of_the_program() -> None:
    defaults = {
        f"KEYTURN_{name.upper()}": "" if field.default in (None, ()) else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert settings_table() == defaults


def test_settings_without_a_flag_are_marked_in_the_table() -> None:
    marked = re.findall(r"^\| `KEYTURN_(\w+)` \|.*No flag \|$", OPERATIONS, re.MULTILINE)
    assert {name.lower() for name in marked} == ENVIRONMENT_ONLY


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Any) -> None:
    named = set(re.findall(r"KEYTURN_[A-Z_]*[A-Z]", page.read_text()))
    assert named <= set(settings_table()) | clients_variables()


def clients_variables() -> set[str]:
    """The variables of the table of the agent's command."""
    client = (ROOT / "docs/client.md").read_text()
    return set(re.findall(r"^\| `[^|]*` \| `(KEYTURN_\w+)` \|", client, re.MULTILINE))


def test_the_table_of_the_agents_command_is_that_of_the_program() -> None:
    assert clients_variables() == {
        *(f"KEYTURN_{name}" for name in ("CREDENTIALS", "URL")),
        ENROLMENT_TOKEN,
    }
    client = (ROOT / "docs/client.md").read_text()
    flags = {
        flag
        for command in agent.commands.values()
        for parameter in command.params
        for flag in parameter.opts
    }
    assert set(re.findall(r"^\| `(?:\w+ )?(--[\w-]+)", client, re.MULTILINE)) == flags


def test_the_table_of_exit_statuses_is_that_of_the_program() -> None:
    client = (ROOT / "docs/client.md").read_text()
    documented = re.findall(r"^\| (\d) \| `(\w+)` \|", client, re.MULTILINE)
    assert {(int(status), code) for status, code in documented} == {
        (status, error.code) for error, status in EXIT_STATUS.items()
    }


def test_every_live_route_is_documented(openapi: Any) -> None:
    live = {
        f"{'ANY' if set(operations) > METHODS else method.upper()} {path}"
        for path, operations in openapi["paths"].items()
        for method in operations
        if method in METHODS
    }
    documented = set(re.findall(r"`((?:ANY|GET|POST|PATCH|DELETE|PUT) /[^`? ]*)`", API))
    assert documented == live


def test_every_error_is_documented_with_its_status() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", API, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == {(error.code, str(status)) for error, status in STATUS.items()}


def test_every_action_of_the_trail_is_documented() -> None:
    listed = re.search(r"^Actions: (.*?)\n\n", API, re.MULTILINE | re.DOTALL)
    assert listed
    assert re.findall(r"`([\w.]+)`", listed[1]) == [str(action) for action in Action]


def test_every_metric_is_documented(server: Server) -> None:
    exposed = httpx.get(f"{server.url}/metrics").text
    ours = set(re.findall(r"^# TYPE (keyturn_\w+) (?:counter|histogram)$", exposed, re.MULTILINE))
    documented = set(re.findall(r"^\| `(keyturn_\w+)` \|", OPERATIONS, re.MULTILINE))
    assert documented == ours
