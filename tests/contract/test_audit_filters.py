"""Section 5: which entries of the trail are asked for."""

import datetime as dt
import time

import pytest

from .client import ABSENT_ID, Service, assert_names_member


def _after(at: str) -> str:
    then = dt.datetime.fromisoformat(at) + dt.timedelta(milliseconds=1)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_entries_are_filtered(service: Service) -> None:
    agent = service.create_agent(service.operator)
    first = service.audit(agentId=agent.id)[0]
    time.sleep(0.01)  # so that there is an instant between the two entries
    service.rotate(agent.key, agent.secret).raise_for_status()
    second = service.audit(agentId=agent.id)[0]
    between = _after(first["at"])

    def found(**params: str) -> list[str]:
        return [entry["id"] for entry in service.audit(agentId=agent.id, **params)]

    assert found() == [second["id"], first["id"]]
    assert found(action="agent.created") == [first["id"]]
    assert found(action="agent.deleted") == []
    assert found(**{"from": between}) == [second["id"]]
    assert found(to=between) == [first["id"]]
    assert found(**{"from": between, "to": "2999-01-01T00:00:00.000Z"}) == [second["id"]]
    assert found(to="2000-01-01T00:00:00.000Z") == []
    assert found(**{"from": "2999-01-01T00:00:00Z"}) == []
    assert service.audit(agentId=ABSENT_ID) == []


def test_bounds_finer_than_a_millisecond_lose_no_entry(service: Service) -> None:
    agent = service.create_agent(service.operator)
    [entry] = service.audit(agentId=agent.id)
    at = entry["at"].removesuffix("Z")

    def found(**params: str) -> int:
        return len(service.audit(agentId=agent.id, **params))

    for finer in ("4", "5", "6"):
        assert found(to=f"{at}{finer}Z") == 1
        assert found(**{"from": f"{at}{finer}Z"}) == 0
    assert (found(to=f"{at}Z"), found(**{"from": f"{at}Z"})) == (0, 1)


BAD_FILTERS = [("from", "yesterday"), ("to", "5"), ("from", ""), ("to", "2026-13-01T00:00:00Z")]
BAD_FILTERS += [
    ("from", "1799999999"),
    ("agentId", "x"),
    ("from", "2026-02-30T00:00:00Z"),
    ("to", "9" * 5000),
]


@pytest.mark.parametrize(("name", "value"), BAD_FILTERS)
def test_a_bad_filter_is_refused(service: Service, name: str, value: str) -> None:
    for path in ("/v1/audit", "/v1/audit/export"):
        assert_names_member(service.get(path, service.operator, params={name: value}), name)
