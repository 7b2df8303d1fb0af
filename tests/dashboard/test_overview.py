"""The overview tells of every refusal, though not of each by a bar."""

import re

import pytest

from tests.actions.world import World
from tests.dashboard.visiting import Browser

OTHERS = re.compile(
    r'href="([^"]*)">(\d+) others?</a>.*?<td class="number">([\d,]+)</td>', re.DOTALL
)
ROW = re.compile(r'<code>(\w+)</code></th>(?:<td class="wide-only">.*?</td>)?<td class="number">')


def refuse(world: World, reasons: int) -> None:
    """Refusals for so many reasons; each is given once more often than the next."""
    world.register()
    rows = [
        f"('{number}.{time}', {world.clock.now}, 'agent', 'credential.rotation_refused', "
        f"'refused', '{{\"reason\": \"why{number}\"}}')"
        for number in range(reasons)
        for time in range(reasons - number)
    ]
    world.edit(
        "INSERT INTO audit (id, at, actor_kind, action, outcome, details) VALUES " + ",".join(rows)
    )


def test_what_is_refused_for_rarer_reasons_is_told_as_a_sum_and_in_a_table(
    world: World, browser: Browser
) -> None:
    refuse(world, 10)
    told = browser.get("/dashboard").text
    assert OTHERS.findall(told) == [("/dashboard/audit?outcome=refused&amp;last=7d", "2", "3")]
    pictured, table = ROW.findall(told)[:8], ROW.findall(told)[8:]
    assert pictured == [f"why{number}" for number in range(8)]
    assert table == [f"why{number}" for number in range(10)]


@pytest.mark.parametrize("reasons", [1, 8])
def test_where_all_reasons_have_a_bar_there_are_no_others(
    world: World, browser: Browser, reasons: int
) -> None:
    refuse(world, reasons)
    told = browser.get("/dashboard").text
    assert (OTHERS.findall(told), len(ROW.findall(told))) == ([], reasons)
