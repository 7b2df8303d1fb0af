"""Attacks on the dashboard: none of them may change or show anything."""

import csv
import io
import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from keyturn.testing import Server
from tests.browser.conftest import address

DEVELOPER = ("mallory@example.com", "mallory's long password")


@pytest.fixture
def operator(server: Server, operator_cookies: list[dict[str, str]]) -> Iterator[httpx.Client]:
    """The operator's session, for requests that no browser would make."""
    cookies = {cookie["name"]: cookie["value"] for cookie in operator_cookies}
    with httpx.Client(base_url=address(server), cookies=cookies) as client:
        yield client


@pytest.fixture(scope="module")
def developer(server: Server, operator_cookies: list[dict[str, str]]) -> Iterator[httpx.Client]:
    """Another developer's session."""
    assert operator_cookies
    email, password = DEVELOPER
    code = server.run("developer", "invite", "--email", email).stdout.strip()
    with httpx.Client(base_url=address(server)) as client:
        answer = client.post("/dashboard/join", data={"code": code, "password": password})
        assert answer.status_code == 303
        yield client


@pytest.fixture
def agent(server: Server) -> dict[str, str]:
    """Of the built-in owner: the operator's to govern, and no developer's."""
    answer = httpx.post(f"{server.url}/v1/auth/agent-register", json={"name": "target"})
    registered: dict[str, str] = answer.json()
    return registered


def csrf(client: httpx.Client) -> str:
    found = re.search('name="csrf" value="([0-9a-f]{64})"', client.get("/dashboard").text)
    assert found
    return found[1]


def rotate(client: httpx.Client, agent: dict[str, str], **sent: object) -> httpx.Response:
    path = f"/dashboard/agents/{agent['agentId']}/change/rotate"
    return client.post(path, **sent)  # type: ignore[arg-type]


def still_works(server: Server, agent: dict[str, str]) -> bool:
    headers = {"authorization": f"Bearer {agent['apiKey']}"}
    return httpx.get(f"{server.url}/v1/agents/self", headers=headers).status_code == 200


def test_the_same_request_with_everything_right_rotates(
    operator: httpx.Client, server: Server, agent: dict[str, str]
) -> None:
    answer = rotate(operator, agent, data={"csrf": csrf(operator), "generation": "1"})
    assert answer.status_code == 200
    assert not still_works(server, agent)


@pytest.mark.parametrize(
    ("case", "headers"),
    [
        ("no token", {}),
        ("another session's token", {}),
        ("a form of another site", {"origin": "https://evil.example"}),
        ("a form of another site", {"sec-fetch-site": "cross-site"}),
        ("a form of another port", {"sec-fetch-site": "same-site"}),
        ("a form of a sandboxed page", {"origin": "null"}),
    ],
)
def test_a_change_that_was_not_asked_for_here_is_refused(
    operator: httpx.Client,
    developer: httpx.Client,
    server: Server,
    agent: dict[str, str],
    case: str,
    headers: dict[str, str],
) -> None:
    tokens = {"no token": "", "another session's token": csrf(developer)}
    token = tokens.get(case, csrf(operator))
    answer = rotate(operator, agent, data={"csrf": token, "generation": "1"}, headers=headers)
    assert answer.status_code == 403
    assert still_works(server, agent)


def test_a_wrong_public_url_is_named_where_it_refuses_a_form(server: Server) -> None:
    seen = "https://keyturn.example"
    headers = {"origin": seen, "sec-fetch-site": "same-origin"}
    answer = httpx.post(f"{server.url}/dashboard/sign-in", headers=headers)
    assert answer.status_code == 403
    assert f"If {seen} is where you opened Keyturn" in answer.text
    assert f"KEYTURN_PUBLIC_URL says that Keyturn is at {address(server)}," in answer.text
    assert f'"origin": "{seen}", "public_url": "{address(server)}"' in server.log_path.read_text()


def test_a_get_changes_nothing(
    operator: httpx.Client, server: Server, agent: dict[str, str]
) -> None:
    path = f"/dashboard/agents/{agent['agentId']}/change/rotate"
    answer = operator.get(path, params={"csrf": csrf(operator), "generation": "1"})
    assert answer.status_code == 200
    assert still_works(server, agent)


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/agents/{agent}",
        *[
            "/dashboard/agents/{agent}/change/" + change
            for change in ("rotate", "rotation-secret", "remove-secret", "revoke", "reinstate",
                           "delete")
        ],
        "/dashboard/developers",
        "/dashboard/developers/{owner}/disable",
        "/dashboard/developers/{owner}/code",
    ],
)  # fmt: skip
def test_what_is_anothers_is_neither_seen_nor_changed(
    developer: httpx.Client, server: Server, agent: dict[str, str], path: str
) -> None:
    path = path.format(agent=agent["agentId"], owner=agent["developerId"])
    seen = developer.get(path)
    assert seen.status_code in (403, 404)
    assert "target" not in seen.text
    sent = {"csrf": csrf(developer), "generation": "1", "email": "x@example.com"}
    assert developer.post(path, data=sent).status_code in (403, 404, 405)
    assert still_works(server, agent)


def test_anothers_entries_are_neither_shown_nor_exported(
    developer: httpx.Client, operator: httpx.Client, agent: dict[str, str]
) -> None:
    asked = {"agent": agent["agentId"]}
    found = re.search(
        "/dashboard/audit/([0-9a-f-]{36})", operator.get("/dashboard/audit", params=asked).text
    )
    assert found
    assert operator.get(found[0]).status_code == 200
    hers, nobodys = developer.get(found[0]), developer.get("/dashboard/audit/nothing")
    assert hers.status_code == nobodys.status_code == 404
    assert without_token(hers.text) == without_token(nobodys.text)
    for params in (asked, {}, {"q": "target"}, {"q": agent["agentId"]}):
        assert found[1] not in developer.get("/dashboard/audit", params=params).text
        for form in ("csv", "jsonl"):
            path = "/dashboard/audit/export"
            assert found[1] in operator.get(path, params={**params, "format": form}).text
            assert found[1] not in developer.get(path, params={**params, "format": form}).text


def without_token(text: str) -> str:
    return re.sub("[0-9a-f]{64}", "", text)


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", '"=1+1"', "a;=1+1"]


def test_no_cell_of_an_export_is_a_formula_and_no_line_is_made_by_others(
    operator: httpx.Client, agent: dict[str, str]
) -> None:
    path = f"/dashboard/agents/{agent['agentId']}/change/revoke"
    for generation, text in enumerate(FORMULAS, 1):
        sent = {"csrf": csrf(operator), "reason": text, "generation": str(generation)}
        operator.post(path, data=sent, headers={"user-agent": text})
        operator.post(path.replace("revoke", "reinstate"), data=sent, headers={"user-agent": text})
    params = {"agent": agent["agentId"]}
    answer = operator.get("/dashboard/audit/export", params=params)
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert len(rows) > len(FORMULAS)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert any("1+1" in cell for row in rows for cell in row)
    assert not [cell for row in rows for cell in row if re.match("[=+@\t\r-]", cell)]
    lines = operator.get("/dashboard/audit/export", params={**params, "format": "jsonl"})
    assert len(lines.text.splitlines()) == len(rows) - 1


@pytest.mark.parametrize("cut", [b"\x85", b"\t"])
def test_what_anybody_sends_begins_no_line_of_an_export(
    operator: httpx.Client, server: Server, cut: bytes
) -> None:
    sent = {b"user-agent": b"one" + cut + b"{}"}
    made = httpx.post(f"{server.url}/v1/auth/agent-register", headers=sent).json()
    params = {"format": "jsonl", "agent": made["agentId"]}
    (line,) = operator.get("/dashboard/audit/export", params=params).text.splitlines()
    assert json.loads(line)["agentId"] == made["agentId"]
    assert line.isprintable()


@pytest.mark.parametrize("change", ["settings", "credits"])
def test_anothers_agent_keeps_its_settings(
    developer: httpx.Client, operator: httpx.Client, agent: dict[str, str], change: str
) -> None:
    path = f"/dashboard/agents/{agent['agentId']}"
    sent = {"csrf": csrf(developer), "name": "mine", "on_reuse": "alert", "amount": "1"}
    sent |= {"rotation_period_days": "7", "metadata": "{}"}
    assert developer.post(f"{path}/{change}", data=sent).status_code == 404
    assert "<h1>target</h1>" in operator.get(path).text


def test_anothers_agent_among_those_to_revoke_is_neither_shown_nor_revoked(
    developer: httpx.Client, server: Server, agent: dict[str, str]
) -> None:
    sent = {"csrf": csrf(developer), "agent": agent["agentId"]}
    for sure in ({}, {"sure": "yes"}):
        answer = developer.post("/dashboard/agents/revoke", data=sent | sure)
        assert answer.status_code == 404
        assert "target" not in answer.text
    assert still_works(server, agent)


def test_another_developers_session_is_not_ended(developer: httpx.Client, server: Server) -> None:
    code = server.run("developer", "invite", "--email", "eve@example.com").stdout.strip()
    sent = {"code": code, "password": "eve's long password"}
    with (
        httpx.Client(base_url=address(server)) as first,
        httpx.Client(base_url=address(server)) as second,
    ):
        first.post("/dashboard/join", data=sent)
        second.post(
            "/dashboard/sign-in", data={"email": "eve@example.com", "password": sent["password"]}
        )
        page = first.get("/dashboard/account").text
        path = re.search("/dashboard/account/sessions/[0-9a-f-]{36}/end", page)
        assert path
        # As for a session that there is not.
        answer = developer.post(path[0], data={"csrf": csrf(developer)})
        assert answer.status_code == 303
        assert second.get("/dashboard").status_code == 200
        first.post(path[0], data={"csrf": csrf(first)})
        assert second.get("/dashboard").status_code == 303


def test_a_session_from_before_signing_in_is_not_taken_over(server: Server) -> None:
    planted = {"keyturn-session": "sk_live_ss_" + "A" * 49}
    with httpx.Client(base_url=address(server), cookies=planted) as client:
        email, password = DEVELOPER
        client.post("/dashboard/sign-in", data={"email": email, "password": password})
        values = {cookie.value for cookie in client.cookies.jar if cookie.name.endswith("session")}
    assert any(value != planted["keyturn-session"] for value in values)
    with httpx.Client(base_url=address(server), cookies=planted) as attacker:
        assert attacker.get("/dashboard").status_code == 303


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/dashboard/../\\evil.example",
     "javascript:alert(1)", "/dashboard\r\nSet-Cookie: a=b", "dashboard", ""],
)  # fmt: skip
@pytest.mark.usefixtures("developer")
def test_signing_in_leads_nowhere_else(server: Server, target: str) -> None:
    email, password = DEVELOPER
    with httpx.Client(base_url=address(server)) as client:
        sent = {"email": email, "password": password, "next": target}
        answer = client.post("/dashboard/sign-in", data=sent)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard"


def test_the_host_that_a_request_names_is_not_believed(server: Server) -> None:
    for headers in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        for path in ("/setup", "/dashboard", "/dashboard/sign-in"):
            answer = httpx.get(f"{server.url}{path}", headers=headers)
            assert "evil.example" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("path", ["/setup", "/dashboard/sign-in", "/dashboard/nowhere"])
def test_no_page_can_be_framed_or_run_what_is_not_ours(server: Server, path: str) -> None:
    headers = httpx.get(f"{server.url}{path}").headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        *(("agents", field) for field in ("q", "status", "cursor", "done")),
        *(("audit", field) for field in ("q", "agent", "action", "since", "last", "cursor")),
    ],
)
def test_what_stands_in_an_address_is_never_a_program(page: Page, path: str, field: str) -> None:
    page.on("dialog", lambda _: pytest.fail("a script has run", pytrace=False))
    page.goto(f"/dashboard/{path}?{field}=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.locator("script:not([src])")).to_have_count(0)


def test_guessing_a_password_is_slowed_down_and_its_owner_is_not_locked_out(
    server: Server, developer: httpx.Client
) -> None:
    email, password = DEVELOPER
    with httpx.Client(base_url=address(server)) as attacker:
        answers = [
            attacker.post("/dashboard/sign-in", data={"email": email, "password": "wrong" * 3})
            for _ in range(11)
        ]
        assert [answer.status_code for answer in answers][-1] == 429
        assert 600 < int(answers[-1].headers["retry-after"]) <= 900
        right = attacker.post("/dashboard/sign-in", data={"email": email, "password": password})
        assert right.status_code == 429
    # The browser that has signed in as her before has tries of its own.
    mark = {"keyturn-device": developer.cookies["keyturn-device"]}
    with httpx.Client(base_url=address(server), cookies=mark) as hers:
        answer = hers.post("/dashboard/sign-in", data={"email": email, "password": password})
    assert answer.status_code == 303


def test_no_secret_of_the_dashboard_is_logged_and_routes_have_no_ids(
    operator: httpx.Client, developer: httpx.Client, server: Server, agent: dict[str, str]
) -> None:
    sent = {"csrf": csrf(operator), "generation": "1"}
    assert rotate(operator, agent, data=sent).status_code == 200
    assert rotate(developer, agent, data={"csrf": csrf(developer)}).status_code == 404
    log = server.log_path.read_text()
    assert '"route": "/dashboard/agents/{agent_id}/change/{danger}"' in log
    assert DEVELOPER[1] not in log
    assert not re.search("_(?:ss|iv|ak|rs)_[0-9A-Za-z]{43}", log)
    assert (server.data_dir / "setup-code").read_text().strip() not in log
