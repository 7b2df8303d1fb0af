"""The trail is read newest first by when things happened, in whatever order they arrived."""

import pytest

from keyturn.actions.authenticate import authenticate_developer
from keyturn.actions.manage_developers import disable_developer
from keyturn.actions.read_audit import AuditFilter, export_audit, list_audit
from keyturn.core.audit_trail import Entry
from keyturn.core.errors import InvalidRequest, InvalidToken
from tests.actions.world import MINUTE, SECOND, World, call
from tests.storage.batches import do


def refuse(world: World, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(InvalidToken):
            do(authenticate_developer(world.service, call("203.0.113.7"), "Bearer nobody"))


def latecomers(world: World) -> None:
    """A trail to which refusals and their count come later than what happened after them."""
    refuse(world, 3)
    world.clock.wait(SECOND)
    world.register()
    world.trail()
    for _ in range(2):
        world.clock.wait(10 * MINUTE)
        for _ in range(3):
            world.register()


def pages(world: World, chosen: AuditFilter, limit: int) -> list[list[Entry]]:
    found: list[list[Entry]] = []
    cursor: str | None = None
    while not found or cursor:
        page = do(list_audit(world.service, world.reader, chosen, cursor=cursor, limit=limit))
        found.append([numbered.entry for numbered in page.items])
        cursor = page.next_cursor
    return found


def exported(world: World, chosen: AuditFilter) -> list[Entry]:
    reader = world.operator

    async def read() -> list[Entry]:
        parts = await export_audit(world.service, reader, chosen)
        return [entry async for part in parts for entry in part]

    return do(read())


def test_what_arrives_late_stands_where_it_happened(world: World) -> None:
    latecomers(world)
    trail = world.trail()
    assert [entry.action for entry in trail] == [
        "token.refused",
        *["agent.registered"] * 4,
        "token.refused",
        *["agent.registered"] * 3,
    ]
    assert [entry.at for entry in trail] == sorted(entry.at for entry in trail)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_and_the_export_have_each_entry_once_in_one_order(
    world: World, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.read_audit.EXPORT_PAGE", limit)
    assert world.operator.operator  # Who reads is made before there is anything to read.
    latecomers(world)
    newest_first = world.trail()[::-1]
    everything = AuditFilter()
    assert [entry for page in pages(world, everything, limit) for entry in page] == newest_first
    assert exported(world, everything) == newest_first


def test_filters_cut_the_same_order(world: World) -> None:
    latecomers(world)
    newest_first = world.trail()[::-1]
    since, until = newest_first[-2].at, newest_first[0].at
    chosen = AuditFilter(action="agent.registered", since=since, until=until)
    expected = [entry for entry in newest_first if since <= entry.at < until]
    expected = [entry for entry in expected if entry.action == "agent.registered"]
    assert len(expected) == 4
    assert [entry for page in pages(world, chosen, 3) for entry in page] == expected
    assert exported(world, chosen) == expected


def test_pages_neither_repeat_nor_skip_while_entries_arrive(world: World) -> None:
    for _ in range(6):
        world.register()
    before = world.trail()[::-1]
    seen: list[Entry] = []
    cursor: str | None = None
    while len(seen) < len(before):
        page = do(list_audit(world.service, world.reader, AuditFilter(), cursor=cursor, limit=2))
        seen += [numbered.entry for numbered in page.items]
        cursor = page.next_cursor
        world.clock.wait(SECOND)
        world.register()
        refuse(world)
    assert seen == before


@pytest.mark.parametrize("cursor", ["NQ", "NS41LjU", "LTEuNQ", "NS4w", "NS4", "MDUuNQ", "x.y"])
def test_a_cursor_that_the_trail_did_not_make_is_refused(world: World, cursor: str) -> None:
    assert world.operator.operator  # Made before anything is read.
    with pytest.raises(InvalidRequest, match="cursor"):
        do(list_audit(world.service, world.reader, AuditFilter(), cursor=cursor, limit=2))


def test_an_export_ends_when_its_reader_loses_the_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.actions.read_audit.EXPORT_PAGE", 2)
    latecomers(world)
    _, reader = world.developer("reader@example.com", operator=True)
    operator = world.operator

    async def read() -> list[list[Entry]]:
        parts = await export_audit(world.service, reader, AuditFilter())
        read = [await anext(parts)]
        await disable_developer(world.service, call(), operator, reader.developer_id)
        with pytest.raises(InvalidToken):
            read.append(await anext(parts))
        return read

    assert len(do(read())) == 1
