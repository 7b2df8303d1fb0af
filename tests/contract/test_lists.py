"""Section 2: lists, their pages and their filters."""

import base64

import pytest

from .client import TIME, UUID, Developer, Service, assert_names_member, unique

LISTS = [
    "/v1/agents",
    "/v1/audit",
    "/v1/developers",
    "/v1/developer-tokens",
    "/v1/service-tokens",
    "/v1/enrolment-tokens",
]
BAD_LIMITS = [
    "0",
    "-1",
    "201",
    "9" * 400,
    "9" * 5000,
    "abc",
    "1.5",
    "",
    "1e2",
    "0x10",
    "1_0",
    "NaN",
    "٣",
]
BAD_CURSORS = ["x", "\x00", "…", "null", "' OR 1=1 --", "a" * 4000]
BAD_CURSORS.append(base64.urlsafe_b64encode(b'{"at": "never"}').decode())


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_items_and_a_cursor(service: Service, path: str) -> None:
    answer = service.get(path, service.operator, params={"limit": 1})
    assert answer.status_code == 200
    assert set(answer.json()) == {"items", "nextCursor"}
    assert len(answer.json()["items"]) <= 1


@pytest.mark.parametrize("limit", BAD_LIMITS)
@pytest.mark.parametrize("path", LISTS)
def test_a_bad_limit_is_refused(service: Service, path: str, limit: str) -> None:
    assert_names_member(service.get(path, service.operator, params={"limit": limit}), "limit")


@pytest.mark.parametrize("limit", [1, 200])
@pytest.mark.parametrize("path", LISTS)
def test_the_outermost_limits_are_fine(service: Service, path: str, limit: int) -> None:
    assert service.get(path, service.operator, params={"limit": limit}).status_code == 200


@pytest.mark.parametrize("cursor", BAD_CURSORS)
@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_that_we_did_not_make_is_refused(service: Service, path: str, cursor: str) -> None:
    assert_names_member(service.get(path, service.operator, params={"cursor": cursor}), "cursor")


def test_a_page_has_50_unless_told(service: Service, developer: Developer) -> None:
    made = [service.create_agent(developer.token).id for _ in range(51)]
    short = service.get("/v1/agents", developer.token).json()
    full = service.get("/v1/agents", developer.token, params={"limit": 200}).json()
    assert [item["agentId"] for item in short["items"]] == made[:0:-1]
    assert short["nextCursor"]
    assert [item["agentId"] for item in full["items"]] == made[::-1]
    assert full["nextCursor"] is None


def test_the_last_page_has_no_cursor_even_if_it_is_full(
    service: Service, developer: Developer
) -> None:
    for _ in range(2):
        service.create_agent(developer.token)
    page = service.get("/v1/agents", developer.token, params={"limit": 2}).json()
    assert (len(page["items"]), page["nextCursor"]) == (2, None)


def test_an_empty_list_is_empty(service: Service, developer: Developer) -> None:
    page = service.get("/v1/agents", developer.token).json()
    assert (page["items"], page["nextCursor"]) == ([], None)


def test_pages_neither_repeat_nor_skip_while_agents_come_and_go(
    service: Service, developer: Developer
) -> None:
    made = [service.create_agent(developer.token).id for _ in range(7)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.get("/v1/agents", developer.token, params={"limit": 2, **cursor}).json()
        seen += [item["agentId"] for item in page["items"]]
        service.create_agent(developer.token)
        # The agent that the cursor stands on goes away; the walk must go on from its place.
        service.call("DELETE", f"/v1/agents/{seen[-1]}", token=developer.token)
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == made[::-1]


def test_a_cursor_can_be_used_again(service: Service, developer: Developer) -> None:
    for _ in range(4):
        service.create_agent(developer.token)
    cursor = service.get("/v1/agents", developer.token, params={"limit": 2}).json()["nextCursor"]
    pages = [
        service.get("/v1/agents", developer.token, params={"limit": 2, "cursor": cursor}).json()
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]["items"]) == 2


def test_tokens_are_listed_newest_first_in_pages(service: Service, developer: Developer) -> None:
    made = [service.create_token("service", developer.token)["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        params = {"limit": 2, **cursor}
        page = service.get("/v1/service-tokens", developer.token, params=params).json()
        seen += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == made[::-1]


def test_the_trail_is_listed_newest_first_in_pages(service: Service) -> None:
    agent = service.register()
    for _ in range(5):
        service.post(f"/v1/agents/{agent.id}/rotate-key", service.operator)
    whole = service.audit(agentId=agent.id)
    params = {"agentId": agent.id, "limit": 2}
    pages = []
    while params.get("cursor", "first") is not None:
        page = service.get("/v1/audit", service.operator, params=params).json()
        pages.append(page["items"])
        params["cursor"] = page["nextCursor"]
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [entry for page in pages for entry in page] == whole
    assert [entry["at"] for entry in whole] == sorted((e["at"] for e in whole), reverse=True)


SEARCHES = [
    ("the whole name", "{}", True),
    ("a part of it", "needle", True),
    ("a wildcard of SQL", "%", False),
    ("another wildcard", "n_edle", False),
    ("a backslash", "\\", False),
    ("a quote", "'", False),
    ("an asterisk", "*", False),
    ("NUL", "\x00", False),
    ("something else", "haystack", False),
]


@pytest.mark.parametrize(
    ("q", "found"), [case[1:] for case in SEARCHES], ids=[case[0] for case in SEARCHES]
)
def test_agents_are_searched_by_name(
    service: Service, developer: Developer, q: str, found: bool
) -> None:
    name = unique("the needle")
    made = service.create_agent(developer.token, name=name)
    service.create_agent(developer.token, name="straw")
    items = service.listed("/v1/agents", developer.token, q=q.format(name))
    assert [item["agentId"] for item in items] == [made.id] * found


@pytest.mark.parametrize("operator", [False, True])
def test_agents_are_filtered_by_status_and_search_together(
    service: Service, developer: Developer, operator: bool
) -> None:
    red, blue = unique("red"), unique("blue")
    alive, dead, other = (
        service.create_agent(developer.token, name=name) for name in (red, f"{red} too", blue)
    )
    service.post(f"/v1/agents/{dead.id}/revoke", developer.token, json={"reason": "test"})

    def found(**params: str) -> list[str]:
        token = service.operator if operator else developer.token
        items = service.listed("/v1/agents", token, **params)
        return [a["agentId"] for a in items if a["agentId"] in {alive.id, dead.id, other.id}]

    assert found(status="active") == [other.id, alive.id]
    assert found(status="revoked") == [dead.id]
    assert found(status="active", q=red) == [alive.id]
    assert found(status="revoked", q=blue) == []


def test_an_unknown_status_is_refused(service: Service) -> None:
    for status in ("dead", "ACTIVE"):
        answer = service.get("/v1/agents", service.operator, params={"status": status})
        assert_names_member(answer, "status")


def test_times_and_ids_have_one_format(service: Service, developer: Developer) -> None:
    service.create_agent(developer.token)
    item = service.get("/v1/agents", developer.token).json()["items"][0]
    assert UUID.fullmatch(item["agentId"]) and UUID.fullmatch(item["developerId"])
    assert TIME.fullmatch(item["createdAt"]) and TIME.fullmatch(item["keyCreatedAt"])
