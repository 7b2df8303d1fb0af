"""Sections 5 and 7: who sees the trail, how it leaves, and that nobody changes it."""

import csv
import io
import json

import pytest

from .client import Agent, Developer, Service, assert_names_member, unique

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "=cmd|' /C calc'!A0", '"=1+1"']


@pytest.fixture(scope="module")
def author(service: Service) -> Developer:
    """A developer with a trail of many kinds, and of texts that spreadsheets misread."""
    developer = service.create_developer()
    for text in FORMULAS:
        headers = {"User-Agent": text.strip()}
        made = service.post(
            "/v1/agents", developer.token, json={"name": text}, headers=headers
        ).json()
        body = {"reason": text}
        path = f"/v1/agents/{made['agentId']}/revoke"
        service.post(path, developer.token, json=body, headers=headers)
    service.post("/v1/developers", developer.token, json={"email": "no@example.com"})
    return developer


def _export(service: Service, token: str, **params: str) -> str:
    answer = service.get("/v1/audit/export", token, params=params)
    answer.raise_for_status()
    return answer.text


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_lines_are_the_very_entries_of_the_list(service: Service, author: Developer) -> None:
    lines = _export(service, author.token, format="jsonl").splitlines()
    listed = service.audit(author.token)
    assert len(listed) > len(FORMULAS)

    def by_id(entries: list[dict[str, object]]) -> list[dict[str, object]]:
        return sorted(entries, key=lambda entry: str(entry["id"]))

    assert by_id([json.loads(line) for line in lines]) == by_id(listed)


def test_a_csv_has_a_row_for_each_entry_of_the_list(service: Service, author: Developer) -> None:
    rows = _rows(_export(service, author.token, format="csv"))
    listed = {entry["id"]: entry for entry in service.audit(author.token)}
    assert {row["id"] for row in rows} == set(listed)
    assert len(rows) == len(listed)
    for row in rows:
        for name in ("at", "action", "outcome", "requestId"):
            assert row[name] == listed[row["id"]][name]


def test_no_cell_is_a_formula(service: Service, author: Developer) -> None:
    text = _export(service, author.token, format="csv")
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert any("1+1" in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_types_are_said(service: Service, author: Developer) -> None:
    for name, expected in (("csv", "text/csv"), ("jsonl", "json")):
        answer = service.get("/v1/audit/export", author.token, params={"format": name})
        assert expected in answer.headers["content-type"]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_export_is_streamed(service: Service, author: Developer, format: str) -> None:
    answer = service.get("/v1/audit/export", author.token, params={"format": format})
    assert answer.headers.get("transfer-encoding") == "chunked"
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("format", ["xml", "JSONL", "", "jsonl,csv"])
def test_another_format_is_refused(service: Service, author: Developer, format: str) -> None:
    answer = service.get("/v1/audit/export", author.token, params={"format": format})
    assert_names_member(answer, "format")


def test_an_empty_trail_is_exported(service: Service, developer: Developer) -> None:
    listed = service.audit(developer.token)
    assert len(_rows(_export(service, developer.token, format="csv"))) == len(listed)
    assert len(_export(service, developer.token, format="jsonl").splitlines()) == len(listed)


@pytest.fixture(scope="module")
def long_trail(service: Service) -> tuple[Developer, int]:
    """A developer whose trail is longer than any page."""
    developer = service.create_developer()
    agent = service.create_agent(developer.token)
    before = len(service.audit(developer.token))
    for number in range(250):
        body = {"name": f"name {number}"}
        path = f"/v1/agents/{agent.id}"
        service.call("PATCH", path, token=developer.token, json=body).raise_for_status()
    return developer, before + 250


def test_an_export_is_whole(service: Service, long_trail: tuple[Developer, int]) -> None:
    developer, count = long_trail
    assert len(service.audit(developer.token)) == count
    lines = _export(service, developer.token, format="jsonl").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == count
    assert len(_rows(_export(service, developer.token, format="csv"))) == count


def test_a_developer_sees_no_entry_of_another(service: Service, developer: Developer) -> None:
    agent, other = service.create_agent(developer.token), service.create_developer()
    others_agent = service.create_agent(other.token)
    own = service.audit(developer.token)
    assert {entry["developerId"] for entry in own} == {developer.id}
    assert agent.id in {entry["agentId"] for entry in own}
    assert service.audit(developer.token, agentId=others_agent.id) == []
    for format in ("jsonl", "csv"):
        assert others_agent.id not in _export(service, developer.token, format=format)


def test_an_operator_sees_every_entry(service: Service, developer: Developer) -> None:
    agent, registered = service.create_agent(developer.token), service.register()
    for made in (agent, registered):
        assert service.audit(agentId=made.id)
        assert made.id in _export(service, service.operator, format="jsonl")


def test_what_a_developer_tried_on_anothers_agent_is_not_shown_to_them(
    service: Service, developer: Developer
) -> None:
    other = service.create_developer()
    agent = service.create_agent(other.token)
    service.post(f"/v1/agents/{agent.id}/rotate-key", developer.token)
    assert service.audit(developer.token, action="credential.rotated") == []
    shown = [entry["agentId"] for entry in service.audit(developer.token)]
    assert agent.id not in shown


def test_no_route_changes_an_entry(service: Service, agent: Agent) -> None:
    before = service.audit(agentId=agent.id)
    body = {**before[0], "action": "agent.deleted"}
    for path in ("/v1/audit", "/v1/audit/export", f"/v1/audit/{before[0]['id']}"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = service.call(method, path, token=service.operator, json=body)
            assert answer.status_code in {404, 405}
    assert service.audit(agentId=agent.id) == before


def test_later_events_leave_earlier_entries_as_they_are(
    service: Service, developer: Developer
) -> None:
    agent = service.create_agent(developer.token, name=unique("first"))
    before = service.audit(agentId=agent.id)
    path = f"/v1/agents/{agent.id}"
    service.call("PATCH", path, token=developer.token, json={"name": "second"})
    service.rotate(agent.key, agent.secret)
    service.call("DELETE", path, token=developer.token)
    assert service.audit(agentId=agent.id)[-len(before) :] == before
