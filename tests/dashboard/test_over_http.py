"""How pages answer over HTTP itself, on a real server."""

from collections.abc import Iterator

import httpx
import pytest

from keyturn.testing import Server, running_server

PAGES = (
    "/setup",
    "/dashboard",
    "/dashboard/",
    "/dashboard/sign-in",
    "/dashboard/agents?status=active",
    "/dashboard/static/keyturn.css",
    "/dashboard/static/nothing.css",
    "/dashboard/nothing/at/all",
)
OF_ONE_ANSWER = ("date", "x-request-id")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_head_says_of_a_page_what_get_would(server: Server, path: str) -> None:
    got, asked = httpx.get(server.url + path), httpx.head(server.url + path)
    for answer in (got, asked):
        for name in OF_ONE_ANSWER:
            del answer.headers[name]
    assert (asked.status_code, asked.headers) == (got.status_code, got.headers)
    assert asked.content == b""


@pytest.mark.parametrize(
    ("path", "allowed"), [("/dashboard/sign-out", "POST"), ("/v1/audit", "GET")]
)
def test_head_is_for_nothing_else(server: Server, path: str, allowed: str) -> None:
    answer = httpx.head(server.url + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_slash_at_the_end_leads_to_the_overview(server: Server) -> None:
    answer = httpx.get(f"{server.url}/dashboard/")
    assert (answer.status_code, answer.headers["location"]) == (308, "/dashboard")
