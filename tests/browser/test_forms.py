"""What a form takes, and what it says of what it does not take."""

import json

import httpx
import pytest
from playwright.sync_api import Page, expect

from keyturn.testing import Server

LONGEST = {
    "many small numbers": {"n": [1] * 2044},
    "signs of three bytes": {"n": "€" * 1362},
    "signs that are escaped": {"n": '"' * 2044},
    "what is nested deeply": {"n": json.loads("[" * 28 + "1" + ",1" * 2000 + "]" * 28)},
}
"""Metadata of as many bytes as the API takes, or nearly."""


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    made = server.run("developer", "create", "--email", "api@example.com", "--json")
    return str(json.loads(made.stdout)["token"])


@pytest.mark.parametrize("case", LONGEST)
def test_an_agent_is_renamed_whatever_metadata_the_api_took(
    page: Page, server: Server, token: str, case: str
) -> None:
    headers = {"authorization": f"Bearer {token}"}
    made = httpx.post(
        f"{server.url}/v1/agents", headers=headers, json={"name": "full", "rotationSecret": False}
    )
    agent = f"/agents/{made.json()['agentId']}"
    sent = json.dumps({"metadata": LONGEST[case]}, ensure_ascii=False, separators=(",", ":"))
    assert httpx.patch(f"{server.url}/v1{agent}", headers=headers, content=sent).is_success

    page.goto(f"/dashboard{agent}")
    page.get_by_label("Name", exact=True).fill("renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="renamed")).to_be_visible()
    kept = httpx.get(f"{server.url}/v1{agent}", headers=headers).json()["metadata"]
    assert kept == LONGEST[case]


def test_metadata_that_is_too_long_is_told_where_it_was_typed(page: Page, server: Server) -> None:
    agent = httpx.post(f"{server.url}/v1/auth/agent-register").json()["agentId"]
    page.goto(f"/dashboard/agents/{agent}")
    page.get_by_label("Metadata").fill(json.dumps({"n": "€" * 4000}, ensure_ascii=False))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("must be at most 4096 bytes")


def test_only_a_form_may_be_larger_than_8_kib(server: Server) -> None:
    answers = {
        path: httpx.post(f"{server.url}{path}", content=b" " * size)
        for path, size in {
            "/v1/auth/agent-register": 8193,
            "/dashboard/sign-in": 98_304,
            "/dashboard/join": 98_305,
        }.items()
    }
    assert [answer.status_code for answer in answers.values()] == [413, 403, 413]
    assert answers["/v1/auth/agent-register"].json()["detail"] == "The body is larger than 8 KiB"
    assert "The body is larger than 96 KiB" in answers["/dashboard/join"].text
