"""The sizing calculation, and that its page shows what it prints."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from bench.report import between_markers
from bench.sizing import MEANINGS, Assumptions, Demand, Needs, needs, text
from tests.docs.pages import ROOT

ROUND = Assumptions(
    agent_bytes=500,
    bloat=2,
    retired_bytes=100,
    audit_bytes=200,
    receipt_bytes=150,
    rotation_wal=1000,
    use_wal=100,
    rotation_pages=10,
    use_pages=5,
    page_image=4000,
    checkpoint_seconds=100,
    checks_core=1000,
    rotations_core=100,
    check_microseconds=100,
    rotation_microseconds=1000,
    uses=10,
    connections=5,
    peak=2,
    busy=0.5,
)
DAILY = Demand(agents=8_640_000, checks=2000, period_days=1)


def test_the_page_shows_what_the_script_prints() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    command = [sys.executable, "-m", "bench.sizing"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert page == between_markers(page, "sizing", printed)


def test_an_installation_needs_what_can_be_counted_by_hand() -> None:
    # 100 rotations a second, 200 at the busiest time: 2 cores for them, 2 for the checks.
    found = needs(DAILY, ROUND)
    assert found == Needs(
        rotations=100,
        processes=4 * 2 + 1,
        connections=9 * 5,
        postgres_cores=1,
        memory=8_640_000_000,
        wal_low=200 * 1000 + 9 * 10 * 100,
        wal_high=200 * 1000 + 9 * 10 * 100 + (200 * 10 + 9 * 10 * 5) * 4000,
        retired=8_640_000 * 365 * 100,
        trail=8_640_000 * 365 * 200,
        disk=8_640_000 * (1000 + 300 + 365 * 300),
    )


def test_a_hundred_million_agents_that_rotate_weekly_are_165_rotations_a_second() -> None:
    assert round(needs(Demand(100_000_000, 0), ROUND).rotations) == 165


def test_few_pages_are_in_the_wal_as_a_whole_once_for_each_checkpoint() -> None:
    few = Demand(agents=8192, checks=2000, period_days=1)
    found = needs(few, ROUND)
    pages = found.rotations * 2 * 10 + 8192 * 1000 / 8192 / 100
    assert found.wal_high - found.wal_low == pytest.approx(pages * 4000)


@pytest.mark.parametrize("name", ["agents", "checks"])
def test_more_never_needs_less(name: str) -> None:
    more = replace(DAILY, **{name: getattr(DAILY, name) * 10})
    for field in fields(Needs):
        assert getattr(needs(more, ROUND), field.name) >= getattr(needs(DAILY, ROUND), field.name)


def test_every_assumption_is_in_words_and_shown() -> None:
    assert MEANINGS.keys() == {field.name for field in fields(Assumptions)}
    assert all(meaning in text() for meaning in MEANINGS.values())


@pytest.mark.parametrize("numbers", [["1"], ["0", "1"], ["1", "1", "-1"], ["a", "b"], ["1"] * 4])
def test_what_is_no_demand_is_refused(numbers: list[str]) -> None:
    command = [sys.executable, "-m", "bench.sizing", *numbers]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_demand_of_ones_own_has_a_column() -> None:
    command = [sys.executable, "-m", "bench.sizing", "2e6", "300", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| 2,000,000 agents, 300 checks a second |" in done.stdout
